"""Files of protocols: the shipped ones are what they say, and a wrong one gets a sentence with file, key and remedy."""

from pathlib import Path

import pytest

from exhubert.emoset.catalog import catalog
from exhubert.emoset.protocols.protocol import LeaveOut, Share
from exhubert.emoset.protocols.protocol_file import find_protocol, read_protocol, shipped_protocols

OWN = """\
name: own
source: own
corpora: [emo_db]
keeps_apart: speaker
folds:
  - name: one
    train: rest
    validation: {speaker: 03}
    test: {speaker: [08, 09]}
"""


def written(folder, text=OWN):
    (folder / "own.yaml").write_text(text, encoding="utf-8")
    return folder / "own.yaml"


@pytest.mark.parametrize("name", shipped_protocols())
def test_a_shipped_protocol_is_named_after_its_file_and_is_for_corpora_of_the_catalog(name):
    protocol = find_protocol(name)
    assert protocol.name == name and len(protocol.source) > 20
    assert protocol.corpora and set(protocol.corpora) <= set(catalog())


def test_values_are_the_texts_as_written(tmp_path):
    """YAML would read 03 as 3 and 08 as a text, and `no` as false."""
    (rule,) = read_protocol(written(tmp_path, OWN.replace("09]", "no]"))).folds
    assert rule.validation.columns == {"speaker": ("03",)}
    assert rule.test.columns == {"speaker": ("08", "no")} and rule.train.rest


def test_leaving_out_takes_groups_and_an_explicit_validation(tmp_path):
    text = OWN[: OWN.index("folds:")]
    folds = "folds: {leave_out: speaker, groups: {a: [03, 08], b: 09}, validation: {share: 0.25, by: speaker}}\n"
    protocol = read_protocol(written(tmp_path, text + folds))
    assert protocol.folds == LeaveOut("speaker", {"a": ("03", "08"), "b": ("09",)}, Share(0.25, "speaker"))
    assert protocol.number_of_folds == "2"
    folds = "folds: {leave_out: session, validation: next}\n"
    assert read_protocol(written(tmp_path, text + folds)).number_of_folds == "one for each session"


def test_lists_are_found_by_a_pattern_and_in_the_order_of_numbers(tmp_path):
    for fold in (1, 2, 10):
        for part in ("train", "dev", "test"):
            path = tmp_path / f"lists/fold_{fold}/mine_{part}_fold_{fold}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("a\n")
    (tmp_path / "lists/fold_1/mine_labels_fold_1.txt").write_text("no list\n")
    (tmp_path / "lists/fold_1/mine_train_fold_2.txt").write_text("another fold\n")
    folds = "folds: {lists: 'lists/fold_{fold}/mine_{partition}_fold_{fold}.txt'}\n"
    protocol = read_protocol(written(tmp_path, OWN[: OWN.index("folds:")] + folds))
    assert [rule.name for rule in protocol.folds] == ["fold 1", "fold 2", "fold 10"]
    assert protocol.folds[2].validation.lists == (tmp_path / "lists/fold_10/mine_dev_fold_10.txt",)


def test_the_hash_follows_what_the_file_and_its_lists_say_and_not_how_it_is_written(tmp_path):
    (tmp_path / "names.txt").write_text("a\n")
    text = OWN.replace("{speaker: [08, 09]}", "{list: names.txt}")
    first = read_protocol(written(tmp_path, text)).sha256
    assert read_protocol(written(tmp_path, "# a comment\n" + text)).sha256 == first
    assert read_protocol(written(tmp_path, text.replace("03", "04"))).sha256 != first
    (tmp_path / "names.txt").write_text("b\n")
    assert read_protocol(written(tmp_path, text)).sha256 != first


FOLDS = OWN[OWN.index("folds:") :]
BY_LISTS = "folds: {lists: '{partition}.txt'"


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("source: own\n", "", "lacks source. Say where it comes from"),
        ("keeps_apart", "keep_apart", "unknown key `keep_apart`; did you mean `keeps_apart`?"),
        ("name: own\n", "name: own\nname: other\n", "line 2: `name` is there twice"),
        ("[emo_db]", "[]", "lacks corpora"),
        ("keeps_apart: speaker", "keeps_apart: [nothing, speaker]", "expected nothing alone"),
        ("    test: {speaker: [08, 09]}\n", "", "fold one lacks test"),
        ("    train: rest\n", "", "fold one lacks train"),
        ("    validation: {speaker: 03}\n", "", "fold one lacks validation. Choose it, such as"),
        ("test:", "tests:", "unknown key `tests`; did you mean `test`?"),
        ("{speaker: 03}", "rest", "fold one: two partitions are `rest`"),
        ("{speaker: 03}", "03", "fold one: validation is '03', expected a column with its values"),
        ("{speaker: 03}", "{share: 2, by: speaker}", "share is '2', expected a number between 0 and 1"),
        ("{speaker: 03}", "{share: 0.2}", "lacks by"),
        ("{speaker: 03}", "{speaker: }", "validation: speaker is empty"),
        ("{speaker: 03}", "{list: none.txt}", "there is no file .*none.txt"),
        ("rest\n", "rest\n  - 7\n", "isn't valid YAML"),
        (FOLDS, FOLDS + FOLDS.removeprefix("folds:\n"), "one is the name of two folds"),
        (FOLDS, "folds: held_out\n", "folds is 'held_out', expected `leave_out: COLUMN`, `lists: PATTERN`"),
        (FOLDS, "folds: {leave_out: speaker}\n", "folds lacks validation"),
        (FOLDS, "folds: {leave_out: speaker, validation: last}\n", "validation is 'last', expected `next`"),
        (
            FOLDS,
            "folds: {leave_out: speaker, validation: next, groups: {a: [03], b: [03]}}\n",
            "03 is in two groups. Write `group:",
        ),
        (FOLDS, "folds: {leave_out: speaker, validation: next, groups: [03]}\n", "expected two groups or more"),
        (FOLDS, "folds: {lists: names.txt}\n", "expected a path with {partition}"),
        (FOLDS, BY_LISTS + "}\n", "no file matches"),
        (OWN, "", "expected `key: value` lines with name, source"),
        (OWN, "name: [\n", "isn't valid YAML"),
    ],
)
def test_a_wrong_file_is_refused_with_its_name_and_key(tmp_path, before, after, message):
    assert before in OWN
    with pytest.raises(ValueError, match=message) as error:
        read_protocol(written(tmp_path, OWN.replace(before, after)))
    assert str(tmp_path / "own.yaml") in str(error.value)


def test_lists_without_a_partition_are_refused(tmp_path):
    text = OWN[: OWN.index("folds:")]
    (tmp_path / "train.txt").write_text("a\n")
    with pytest.raises(ValueError, match=r"lists has no list for test; found .*train.txt"):
        read_protocol(written(tmp_path, text + BY_LISTS + "}\n"))
    (tmp_path / "test.txt").write_text("b\n")
    with pytest.raises(ValueError, match="has no list for validation.* Add `validation: {share: 0.2"):
        read_protocol(written(tmp_path, text + BY_LISTS + "}\n"))
    share = BY_LISTS + ", validation: {share: 0.5, by: utterance}}\n"
    assert read_protocol(written(tmp_path, text + share)).folds[0].validation == Share(0.5, "utterance")
    (tmp_path / "eval.txt").write_text("c\n")  # beside a test list, `eval` is validation
    (rule,) = read_protocol(written(tmp_path, text + BY_LISTS + "}\n")).folds
    assert rule.validation.lists == (tmp_path / "eval.txt",)
    with pytest.raises(ValueError, match="has a list for validation, .*; leave out `validation`"):
        read_protocol(written(tmp_path, text + share))


def test_a_name_that_is_none_gets_a_suggestion():
    with pytest.raises(ValueError, match="No protocol 'emo_db_serap'; .* Did you mean emo_db_serab?"):
        find_protocol("emo_db_serap")
    with pytest.raises(ValueError, match="mine.yaml: there is no such protocol file"):
        find_protocol(str(Path("mine.yaml")))
    assert find_protocol("held_out") is None
