"""Protocols of files divide as they say, and what they keep apart is checked on the data."""

import json
import logging

import datasets
import pandas as pd
import pytest

from exhubert.emoset import build, load
from exhubert.emoset.dealing.partition import LeakageError
from exhubert.evaluation.leaks import leak_text, speakers_shared
from exhubert.evaluation.protocols import apply_protocol, folds, load_for_protocol, table_of

from ..conftest import SHARED_CORPORA

REAL = pytest.mark.skipif(not SHARED_CORPORA.is_dir(), reason="the real corpora are not on this machine")


def utterances(corpus="emo_db"):
    """Four speakers in two sessions, each with two texts; two utterances each."""
    rows = []
    for number, speaker in enumerate(("03", "08", "09", "10")):
        for text in ("a01", "b02"):
            for take in (1, 2):
                name = f"wav/{speaker}{text}{take}"
                rows.append(
                    {
                        "corpus": corpus,
                        "utterance_id": f"{corpus}/{name}",
                        "source_file": f"{name}.wav",
                        "speaker": f"{corpus}/{speaker}",
                        "label": take,
                        "raw_label": "WF"[take - 1],
                        "session": f"S{number // 2}",
                        "text": text,
                        "partition": "train",
                        "published_partition": ("train", "train", "evaluation", "test")[number],
                        "start": None,
                    }
                )
    return pd.DataFrame(rows)


def protocol(folder, folds, keeps_apart="speaker", corpora="[emo_db]", extra=""):
    head = f"name: own\nsource: own\ncorpora: {corpora}\nkeeps_apart: {keeps_apart}\n{extra}"
    (folder / "own.yaml").write_text(f"{head}folds:{folds}\n", encoding="utf-8")
    return str(folder / "own.yaml")


def speakers(fold, table):
    names = table["speaker"].str.split("/").str[1]
    return {part: sorted(set(names.iloc[rows])) for part, rows in fold.partitions.items()}


def test_each_group_tests_once_and_the_next_one_validates(tmp_path):
    table = utterances()
    groups = "{leave_out: speaker, groups: {a: [03, 08], b: 9, c: [emo_db/10]}, validation: next}"
    first, second, third = folds(protocol(tmp_path, f" {groups}"), table)
    assert (first.name, second.name, third.name) == ("a", "b", "c")
    assert speakers(first, table) == {"train": ["10"], "validation": ["09"], "test": ["03", "08"]}
    assert speakers(third, table) == {"train": ["09"], "validation": ["03", "08"], "test": ["10"]}


def test_without_groups_each_value_tests_once(tmp_path):
    table = utterances()
    found = folds(protocol(tmp_path, " {leave_out: speaker, validation: next}"), table)
    assert [speakers(fold, table)["test"] for fold in found] == [["03"], ["08"], ["09"], ["10"]]
    assert [speakers(fold, table)["validation"] for fold in found] == [["08"], ["09"], ["10"], ["03"]]


def test_a_share_of_train_validates_whole_speakers(tmp_path):
    table = utterances()
    rule = " {leave_out: session, validation: {share: 0.5, by: speaker}}"
    for fold in folds(protocol(tmp_path, rule), table):
        found = speakers(fold, table)
        assert len(found["train"]) == len(found["validation"]) == 1 and len(found["test"]) == 2
    with pytest.raises(LeakageError, match="says session, but in fold S0 1 value of session is in two partitions: S1"):
        folds(protocol(tmp_path, rule, "[speaker, session]"), table)


def test_a_share_does_not_depend_on_the_label_space(tmp_path):
    path = protocol(tmp_path, " {leave_out: session, validation: {share: 0.5, by: utterance}}", "nothing")
    first, other = (
        folds(path, table, allow_leak=True)[0].partitions["validation"].tolist()
        for table in (utterances(), utterances().assign(label=0.5))
    )
    assert first == other


def test_what_has_no_class_is_divided_like_all_and_then_left_out(tmp_path):
    path = protocol(tmp_path, " {leave_out: session, validation: {share: 0.5, by: speaker}}")
    table = utterances()
    table["label"] = table["label"].where((table["speaker"] != "emo_db/03") | (table["text"] == "a01"))
    for fold, other in zip(folds(path, utterances()), folds(path, table), strict=True):
        for part, rows in fold.partitions.items():
            assert other.partitions[part].tolist() == [row for row in rows if table["label"].notna()[row]]
    table["label"] = table["label"].where(table["session"] != "S0")
    with pytest.raises(ValueError, match="fold S0: none of the 8 utterances of test has a class in the label space"):
        folds(path, table)


def test_published_partitions_are_used_under_the_publishers_words(tmp_path):
    rule = "\n  - name: published\n" + "".join(
        f"    {part}: {{published_partition: {part}}}\n" for part in ("train", "validation", "test")
    )
    table = utterances()
    [fold] = folds(protocol(tmp_path, rule), table)
    assert speakers(fold, table) == {"train": ["03", "08"], "validation": ["09"], "test": ["10"]}
    path = protocol(tmp_path, rule)
    with pytest.raises(ValueError, match="no column published_partition, since an earlier version built it. Build"):
        folds(path, table.drop(columns="published_partition"))
    with pytest.raises(ValueError, match="no utterance of emo_db has a published_partition"):
        folds(path, table.assign(published_partition=None))


def test_lists_choose_utterances_and_report_what_they_do_not_share(tmp_path):
    table = utterances()
    for part, names in (("train", ["03", "08"]), ("valid", ["09"]), ("test", ["10"])):
        rows = [
            {"key": f"emodb-{name}a01{take}", "dataset": "emodb", "wav": f"downloads/emodb/wav/{name}a01{take}.wav"}
            for name in names
            for take in (1, 2, 7)
        ]
        path = tmp_path / "fold_1" / f"emodb_{part}_fold_1.jsonl"
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    lists = " {lists: 'fold_{fold}/emodb_{partition}_fold_{fold}.jsonl'}"
    [fold] = folds(protocol(tmp_path, lists), table)
    assert speakers(fold, table) == {"train": ["03", "08"], "validation": ["09"], "test": ["10"]}
    assert [len(rows) for rows in fold.partitions.values()] == [4, 2, 2]
    notes = "\n".join(fold.notes)
    assert "2 of 6 names match no utterance and are left out: downloads/emodb/wav/03a017.wav" in notes
    assert "8 utterances are in no partition: emo_db/wav/03b021" in notes
    (tmp_path / "fold_1" / "emodb_test_fold_1.jsonl").write_text('"else/where.wav"\n')
    with pytest.raises(ValueError, match=r"none of the 1 names in .*test_fold_1.jsonl .* dataset has wav/03a011.wav"):
        folds(protocol(tmp_path, lists), table)
    (tmp_path / "fold_1" / "emodb_test_fold_1.jsonl").write_text('"03a011.wav"\n')
    with pytest.raises(ValueError, match="1 utterances are in train and in test: emo_db/wav/03a011"):
        folds(protocol(tmp_path, lists, "nothing"), table)


def test_columns_of_a_table_can_be_used(tmp_path):
    table = utterances()
    lines = [f"EmoDB/{file},{'x' if '03' in file else 'y' if '08' in file else 'z'}" for file in table["source_file"]]
    (tmp_path / "groups.csv").write_text("\n".join(["file,house", *lines]) + "\n")
    rule = " {leave_out: house, validation: next}"
    found = folds(protocol(tmp_path, rule, "[speaker, house]", extra="columns: groups.csv\n"), table)
    assert [speakers(fold, table)["test"] for fold in found] == [["03"], ["08"], ["09", "10"]]
    (tmp_path / "groups.csv").write_text("\n".join(["file,session", *lines]) + "\n")
    rule_by_session, extra = rule.replace("house", "session"), "columns: groups.csv\n"
    found = folds(protocol(tmp_path, rule_by_session, extra=extra), table.assign(session=None))
    assert [fold.name for fold in found] == ["x", "y", "z"], "the dataset's own sessions are unknown"
    (tmp_path / "groups.csv").write_text("\n".join(["file,house", *lines[1:]]) + "\n")
    with pytest.raises(ValueError, match="leave_out: 1 utterances have no house: emo_db/wav/03a011"):
        folds(protocol(tmp_path, rule, extra="columns: groups.csv\n"), table)


GROUPS = " {{leave_out: speaker, groups: {{a: [03], {}}}, validation: next}}"
ONE = "\n  - name: one\n    train: rest\n    validation: {{speaker: 09}}\n    test: {}"


def test_what_is_kept_apart_is_checked_and_not_believed(tmp_path):
    table = utterances()
    with pytest.raises(LeakageError, match="keeps_apart says text, but in fold one 2 values of text are in two part"):
        folds(protocol(tmp_path, ONE.format("{speaker: 03}"), "[speaker, text]"), table)
    with pytest.raises(LeakageError, match=r"says speaker, but in fold one 2 values .*: 03 \(train and test\)"):
        folds(protocol(tmp_path, ONE.format("{text: a01, session: S0}")), table)
    together = table.assign(speaker=table["speaker"].where(table["speaker"] != "emo_db/10", "emo_db/03 and 08"))
    with pytest.raises(LeakageError, match="2 values of speaker are in two partitions"):
        folds(protocol(tmp_path, ONE.format("{session: S0}")), together)
    unnamed = table.assign(speaker=table["speaker"].where(table["speaker"] != "emo_db/10"))
    with pytest.raises(LeakageError, match="4 utterances have no speaker, so it can't be checked: emo_db/wav/10a011"):
        folds(protocol(tmp_path, ONE.format("{speaker: 03}")), unnamed)
    assert folds(protocol(tmp_path, ONE.format("{speaker: 03}"), "nothing"), unnamed)


def test_a_protocol_that_leaks_speakers_runs_only_if_that_is_allowed(tmp_path):
    path = protocol(tmp_path, ONE.format("{text: a01, session: S0}"), "nothing")
    with pytest.raises(LeakageError, match="own, fold one: NOT speaker-independent: 2 speakers are in train and"):
        folds(path, utterances())
    [fold] = folds(path, utterances(), allow_leak=True)
    assert fold.shared == {"train and test": 2}


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (ONE.format("{speaker: 99}"), "fold one: test: no utterance has the speaker '99'; there are 03, 08, 09, 10"),
        (ONE.format("{speeker: 03}"), "fold one: test: the dataset has no column 'speeker'; .* Did you mean speaker?"),
        (ONE.format("{label: 1}"), "no column 'label'"),
        (ONE.format("{speaker: 03, session: S1}"), "fold one: test has no utterance"),
        (ONE.format("{speaker: [03, 09]}"), "4 utterances are in validation and in test"),
        (GROUPS.format("b: [08]"), "8 utterances are in no group; their speaker is 09, 10"),
        (GROUPS.format("b: [7]"), "groups: b: no utterance has the speaker '7'"),
        (" {leave_out: session, validation: next}", r"has 2 groups here \(S0, S1\), but .* need 3"),
        (" {leave_out: session, validation: {share: 0.5, by: session}}", "train has a single session"),
    ],
)  # fmt: skip
def test_what_does_not_fit_the_data_is_said_with_file_and_key(tmp_path, rule, message):
    path = protocol(tmp_path, rule, "nothing")
    with pytest.raises(ValueError, match=message) as error:
        folds(path, utterances(), allow_leak=True)
    assert path in str(error.value)


def test_only_the_corpora_of_a_protocol_are_used(tmp_path):
    table = pd.concat([utterances(), utterances("urdu")], ignore_index=True)
    path = protocol(tmp_path, " {leave_out: speaker, validation: next}", corpora="[urdu]")
    fold = folds(path, table)[0]
    assert {table["corpus"][row] for rows in fold.partitions.values() for row in rows} == {"urdu"}
    assert "16 utterances of other corpora aren't used" in fold.notes
    path = protocol(tmp_path, " {leave_out: speaker, validation: next}", corpora="any")
    assert len(folds(path, table)[0].partitions["test"]) == 8
    with pytest.raises(
        ValueError, match="protocol iemocap_leave_one_session_out: corpora names iemocap, but the data are emo"
    ):
        folds("iemocap_leave_one_session_out", table)


def test_leaving_one_session_out_of_iemocap(tmp_path):
    """Five sessions of two speakers each, as IEMOCAP's reader names them."""
    rows = [
        {"corpus": "iemocap", "speaker": f"iemocap/Ses0{session}{letter}", "session": f"Ses0{session}", "label": 0}
        for session in range(1, 6)
        for letter in "FM"
    ]
    table = pd.DataFrame(rows).assign(utterance_id=[f"iemocap/{number}" for number in range(10)], source_file="a.wav")
    found = folds("iemocap_leave_one_session_out", table)
    assert [fold.name for fold in found] == [f"Ses0{session}" for session in range(1, 6)]
    assert speakers(found[4], table)["validation"] == ["Ses01F", "Ses01M"] and len(found[4].partitions["train"]) == 6


def test_the_sentence_about_shared_speakers_counts_them():
    assert speakers_shared({"train": ["a", "b", None], "validation": ["c"], "test": ["a", None]}) == {
        "train and test": 1
    }
    assert leak_text({"train and test": 1}) == "NOT speaker-independent: 1 speaker is in train and test"
    assert leak_text({}) == ""


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    output = tmp_path_factory.mktemp("real")
    build({name: SHARED_CORPORA / name for name in ("emo_db", "urdu")}, output)
    return load(output)


@REAL
def test_the_folds_of_a_file_are_the_same_in_every_label_space(tmp_path, caplog):
    """Fear, boredom and disgust have no class among the four; the speaker held out must not depend on that."""
    build({name: SHARED_CORPORA / name for name in ("emo_db", "urdu")}, tmp_path / "out")
    validation = {}
    for space in ("six", "four", "native"):
        data, chosen = load_for_protocol(tmp_path / "out", "emo_db_audeering", labels=space)
        parts, _ = apply_protocol(data, "emo_db_audeering")
        validation[space] = set(parts["validation"]["speaker"])
        assert all(label is not None for rows in parts.values() for label in rows["label"])
        assert sum(map(len, parts.values())) == sum(chosen.utterances.values())
    assert validation["six"] == validation["four"] == validation["native"]
    assert "Protocol emo_db_audeering is for emo_db; not used: urdu." in caplog.text


@REAL
def test_emo_db_and_urdu_leave_one_group_of_speakers_out(real, tmp_path):
    table = table_of(real, "emo_db_serab")
    names = sorted(set(table["speaker"]))
    groups = {f"group {number}": names[number::5] for number in range(5)}
    rule = json.dumps({"leave_out": "speaker", "groups": groups, "validation": "next"})
    found = folds(protocol(tmp_path, f" {rule}", corpora="[emo_db, urdu]"), table)
    tested = [row for fold in found for row in fold.partitions["test"]]
    assert sorted(tested) == list(range(935)), "every utterance is tested once"
    for fold in found:
        assert sum(map(len, fold.partitions.values())) == 935 and not fold.shared
        assert set(table["corpus"].iloc[fold.partitions["test"]]) == {"emo_db", "urdu"}


@REAL
def test_emo_db_through_fold_lists_that_share_speakers(real, tmp_path, caplog):
    table = table_of(real, "emo_db_serab")
    own = table[table["corpus"] == "emo_db"]
    for part, keep in (("train", lambda number: number % 5), ("test", lambda number: not number % 5)):
        stems = [file.removesuffix(".wav").rpartition("/")[2] for file in sorted(own["source_file"])]
        chosen = [stem for number, stem in enumerate(stems) if keep(number)]
        path = tmp_path / "data/emodb/fold_1" / f"emodb_{part}_fold_1.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [{"key": f"emodb-{stem}", "wav": f"downloads/emodb/wav/{stem}.wav"} for stem in [*chosen, "00a01Fa"]]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    files = "data/emodb/fold_{fold}/emodb_{partition}_fold_{fold}.jsonl"
    rule = f" {{lists: '{files}', validation: {{share: 0.2, by: speaker}}}}"
    path = protocol(tmp_path, rule, "nothing")
    with pytest.raises(LeakageError, match="NOT speaker-independent: . speakers are in train and test"):
        apply_protocol(real, path)
    with caplog.at_level(logging.WARNING):
        parts, name = apply_protocol(real, path, allow_leak=True)
    assert name == "fold 1" and len(parts["test"]) == 107 and len(parts["train"]) + len(parts["validation"]) == 428
    assert "1 of 429 names match no utterance and are left out: downloads/emodb/wav/00a01Fa.wav" in caplog.text


@REAL
@pytest.mark.parametrize(("name", "sizes"), [("emo_db_audeering", (304, 231)), ("emo_db_serab", (451, 84))])
def test_named_protocols_of_emo_db_divide_the_real_corpus(real, name, sizes):
    """audEERING's tables have 304 and 231 rows."""
    [fold] = folds(name, table_of(real, name))
    parts = fold.partitions
    assert (len(parts["train"]) + len(parts["validation"]), len(parts["test"])) == sizes and not fold.shared


def test_a_dataset_with_nested_columns_is_divided(tmp_path):
    rows = utterances().assign(votes=[["a", "b"]] * 16)
    data = datasets.DatasetDict({"train": datasets.Dataset.from_pandas(rows, preserve_index=False)})
    parts, name = apply_protocol(data, protocol(tmp_path, " {leave_out: speaker, validation: next}"), 1)
    assert name == "08" and set(parts["test"]["speaker"]) == {"emo_db/08"} and parts["test"][0]["votes"] == ["a", "b"]
