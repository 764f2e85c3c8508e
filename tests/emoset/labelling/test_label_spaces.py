"""One built dataset is opened with any label space: each utterance has the class that its corpus's labels say."""

from collections import Counter

import pyarrow.parquet as pq
import pytest
from datasets import Audio, load_dataset, load_from_disk

from exhubert import SIX_CLASSES
from exhubert.emoset import build, load
from exhubert.emoset.dataset import decode, load_labelled
from exhubert.emoset.labelling.label_spaces import read_space

from ..conftest import RATINGS, corpus, rate


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A dataset of three corpora: IEMOCAP's labels, a German one, and one with words that aren't emotions."""
    root = tmp_path_factory.mktemp("corpora")
    turns = [f"{label},s{speaker},en" for speaker in range(3) for label in ("ang", "hap", "exc", "sad", "neu", "xxx")]
    german = [f"{label},s{speaker},de" for speaker in range(3) for label in ("Freude", "froh", "Wut", "Trauer")]
    own = [f"{label},s{speaker},en" for speaker in range(3) for label in ("joy", "happy", "afraid", "sung")]
    folders = {"iemocap": corpus(root / "a", turns), "german": corpus(root / "bb", german)}
    build(folders | {"own": corpus(root / "ccc", own)}, root / "out")
    return root / "out"


def rows_of(folder, **options):
    """Name of the class and raw label of each utterance, with their numbers."""
    data = load(folder, **options)
    names = next(iter(data.values())).features["label"].names
    rows = [row for part in data.values() for row in part]
    return names, Counter((None if row["label"] is None else names[row["label"]], row["raw_label"]) for row in rows)


def labels_by_class(folder, **options):
    _, counts = rows_of(folder, **options)
    result = {}
    for name, raw in counts:
        result.setdefault(name, set()).add(raw)
    return result


def test_forms_and_synonyms_of_an_emotion_are_one_native_class_in_every_language(built):
    assert labels_by_class(built, labels="native") == {
        "anger": {"ang", "Wut"},
        "excitement": {"exc"},
        "fear": {"afraid"},
        "happiness": {"hap", "Freude", "froh", "joy", "happy"},
        "neutral": {"neu"},
        "sadness": {"sad", "Trauer"},
        "sung": {"sung"},
    }
    names, _ = rows_of(built, labels="native")
    assert names == sorted(names)
    emotions = {row["raw_label"]: row["emotion"] for part in load(built).values() for row in part}
    assert emotions["Freude"] == emotions["hap"] == "happiness"


def test_a_word_that_a_scheme_maps_keeps_its_emotion(tmp_path):
    root = corpus(tmp_path / "a", [f"{word},s{index},de" for index in range(3) for word in ("Freude", "Wut")])
    (tmp_path / "mine.yaml").write_text("own: {Freude: low_positive}")
    build({"own": root}, tmp_path / "out", scheme=tmp_path / "mine.yaml")
    assert labels_by_class(tmp_path / "out", labels="native") == {"anger": {"Wut"}, "happiness": {"Freude"}}
    assert labels_by_class(tmp_path / "out") == {"high_negative": {"Wut"}, "low_positive": {"Freude"}}


def test_four_classes_count_excitement_as_happiness_in_iemocap_alone(built, tmp_path):
    names, counts = rows_of(built, corpora=["iemocap"], labels="four")
    assert names == ["anger", "happiness", "neutral", "sadness"]
    assert counts["happiness", "exc"] == 3 and counts.total() == 15
    other = corpus(tmp_path / "other", [f"{label},s{index}," for index in range(3) for label in ("excited", "angry")])
    build({"other": other}, tmp_path / "out")
    assert labels_by_class(tmp_path / "out", labels="four") == {"anger": {"angry"}}


def test_arousal_and_valence_are_those_of_the_six_classes(built):
    assert labels_by_class(built, corpora=["iemocap"], labels="arousal") == {
        "low": {"sad", "neu"},
        "high": {"ang", "hap", "exc"},
    }
    assert labels_by_class(built, corpora=["iemocap"], labels="valence") == {
        "negative": {"ang", "sad"},
        "neutral": {"neu"},
        "positive": {"hap", "exc"},
    }


def test_opening_with_another_space_builds_nothing_and_changes_no_file(built):
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in built.rglob("*") if path.is_file()}
    for labels in ("native", "four", "arousal", "valence", "alternative", "corpus_valence"):
        load(built, labels=labels)
    assert before == {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in before}


def test_alternative_and_annotated_valence_are_classes_of_the_six_with_their_arousal_and_valence(tmp_path):
    rows = [f"{label},s{index},{mood}" for index in range(3) for label, mood in (("sur", "negative"), ("neu", ""))]
    root = corpus(tmp_path / "a", rows, "file,label,speaker,sentiment")
    build({"iemocap": root}, tmp_path / "out")
    for labels, name in (
        ("six", "high_neutral"),
        ("alternative", "high_positive"),
        ("corpus_valence", "high_negative"),
    ):
        found = load(tmp_path / "out", labels=labels)
        rows = [row for part in found.values() for row in part if row["raw_label"] == "sur"]
        assert {SIX_CLASSES[row["label"]] for row in rows} == {name}
        assert {f"{row['arousal']}_{row['valence']}" for row in rows} == {name}
        assert labels_by_class(tmp_path / "out", labels=labels)["low_neutral"] == {"neu"}


def test_what_has_no_class_is_left_out_and_named_or_kept_on_request(built, caplog):
    _, chosen = load_labelled(built, ["iemocap", "own"])
    assert chosen.left_out == {"sung": 3, "xxx = no agreement": 3} and sum(chosen.utterances.values()) == 24
    assert (
        f"{built}: 6 of 30 utterances have no class in the label space six: sung (3), xxx = no agreement (3)."
        in caplog.text
    )
    _, counts = rows_of(built, keep_unlabelled=True)
    assert {raw for name, raw in counts if name is None} == {"sung", "xxx"} and counts.total() == 42
    _, counts = rows_of(built, labels="native", languages=["de"], keep_unlabelled=True)
    assert counts.total() == 12


def test_where_nothing_has_a_class_the_labels_are_named_and_what_to_do(built, tmp_path):
    path = own_space(tmp_path, "'*': {boredom: idle, interest: keen}")
    with pytest.raises(ValueError, match=r"\(idle, keen\). .* are: afraid = fear \(3\), .*YAML file.*labels='native'"):
        load(built, corpora=["own"], labels=path)
    with pytest.raises(ValueError, match="No utterance of .* is in the languages xx"):
        load(built, languages=["xx"])


def own_space(tmp_path, text):
    (tmp_path / "mine.yaml").write_text(text)
    return tmp_path / "mine.yaml"


def test_a_map_of_your_own_has_any_classes_by_label_or_emotion_and_your_order(built, tmp_path):
    path = own_space(
        tmp_path,
        "classes: [upset, fine]\n"
        "'*': {happiness: fine, angry: upset, sadness: upset, no agreement: fine}\n"
        "iemocap: {sad: null, xxx: upset}\n"
        "own: {joy: null, fear: upset}\n",
    )
    names, _ = rows_of(built, labels=path)
    assert names == ["upset", "fine"]
    assert labels_by_class(built, labels=path) == {
        "upset": {"ang", "Wut", "Trauer", "xxx", "afraid"},
        "fine": {"hap", "Freude", "froh", "happy"},
    }, "a label's own line takes precedence over its emotion's, a corpus's over that of all"
    assert read_space(read_space(path).definition).rules == read_space(path).rules


def test_a_map_to_some_of_the_six_classes_changes_those_and_keeps_the_others(built, tmp_path):
    path = own_space(tmp_path, "'*': {happiness: low_positive, sung: low_neutral}\n")
    names, _ = rows_of(built, labels=path)
    found = labels_by_class(built, labels=path)
    assert names == list(SIX_CLASSES)
    assert found["low_positive"] == {"hap", "Freude", "froh", "joy", "happy"}
    assert found["low_neutral"] == {"neu", "sung"} and found["high_negative"] == {"ang", "Wut", "afraid"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("'*': {happines: a, anger: b}", "none of the corpora has a label 'happines'. Did you mean happiness?"),
        ("iemocap: {angr: a, sad: b}", "iemocap has no label 'angr'. Did you mean ang"),
        (
            "iemocapp: {ang: a, sad: b}",
            "no corpus 'iemocapp' is in the catalog or in the dataset. Did you mean iemocap?",
        ),
        ("urdu: {W: a, sad: b}", "urdu has no label 'W'"),
        ("classes: [a, b]\n'*': {anger: a, joy: c}", "the class 'c' isn't among `classes`"),
        ("classes: [a, b, c]\n'*': {anger: a, joy: b}", "no label is mapped to 'c' of `classes`"),
        ("classes: [a, a]\n'*': {anger: a}", "`classes` holds the names of the classes in their order, each once"),
        ("'*': {anger: a, joy: a}", "has the class a, but a classifier needs at least two"),
        ("'*': {anger: null}", "mine.yaml"),
        (
            "'*': {joy: a, happy: b}",
            "'Freude' of german is happiness, for which 'joy' and 'happy' name different classes",
        ),
    ],
)
def test_mistakes_in_a_map_are_sentences(built, tmp_path, text, message):
    path = own_space(tmp_path, text)
    if message == "mine.yaml":  # dropping labels of the six is a map
        assert "high_negative" not in labels_by_class(built, corpora=["iemocap"], labels=path)
        return
    with pytest.raises(ValueError, match=message.replace("?", r"\?")):
        load(built, labels=path)


def test_a_space_that_does_not_exist_is_refused_with_the_nearest_name(built):
    with pytest.raises(ValueError, match="No label space 'nativ': expected six, native, .*Did you mean native"):
        load(built, labels="nativ")
    with pytest.raises(ValueError, match=r"four has the classes anger, .*, not calm, tense.*`labels`"):
        load(built, labels="four", classes=["calm", "tense"])


def test_classes_of_a_model_decide_on_their_order_and_on_what_is_left_out(built):
    names, counts = rows_of(built, labels="native", classes=["sadness", "happiness", "boredom"])
    assert names == ["sadness", "happiness", "boredom"]
    assert {name for name, _ in counts} == {"sadness", "happiness"}


def test_ratings_without_a_label_give_arousal_by_the_middle_and_valence_by_thirds_of_their_scale(tmp_path, caplog):
    build({"own": corpus(tmp_path / "a", [f"joy,s{index}," for index in range(6)])}, tmp_path / "out")
    rate(tmp_path / "out" / "own", RATINGS, [1.0, 5.0])

    def classes(labels):
        data = load(tmp_path / "out", labels=labels)
        names = next(iter(data.values())).features["label"].names
        rows = [row for part in data.values() for row in part]
        return {(row["arousal_rating"], round(row["valence_rating"], 1)): names[row["label"]] for row in rows}

    assert list(classes("arousal").values()).count("high") == 3 and len(classes("arousal")) == 5
    valences = {pair[1]: name for pair, name in classes("valence").items()}
    assert valences == {1: "negative", 2.9: "neutral", 3: "neutral", 3.2: "neutral", 5: "positive", 4: "positive"}
    assert sorted(classes("six").values()) == sorted(
        ["low_negative", "low_neutral", "high_neutral", "high_neutral", "high_positive"]
    )
    assert "Class from ratings, for want of a label: 5 utterances." in caplog.text
    rows = [row for part in load(tmp_path / "out").values() for row in part]
    assert {f"{row['arousal']}_{row['valence']}" for row in rows} == set(classes("six").values())


def test_ratings_without_a_scale_give_no_class_but_a_sentence(tmp_path):
    build({"own": corpus(tmp_path / "a", [f"joy,s{index}," for index in range(6)])}, tmp_path / "out")
    rate(tmp_path / "out" / "own", RATINGS, None)
    with pytest.raises(ValueError, match=r"no label \(6\).*an unknown scale: 6 utterances.*rating_scale: \[1, 5\]"):
        load(tmp_path / "out")
    with pytest.raises(ValueError, match=r"no label \(6\)\. Without labels, only ratings .* `arousal`"):
        load(tmp_path / "out", labels="native")
    rate(tmp_path / "out" / "own", RATINGS, [0.0, 4.0])
    _, chosen = load_labelled(tmp_path / "out", labels="valence")
    assert chosen.outside_scale == 2 and any(
        "Rating outside its scale, and so not used: 2" in note for note in chosen.notes()
    )


def test_a_dataset_from_before_emotions_were_stored_has_native_classes(built, tmp_path):
    before = labels_by_class(built, labels="native")
    for path in built.rglob("*.parquet"):
        target = tmp_path / "old" / path.relative_to(built)
        target.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pq.read_table(path).drop_columns(["emotion", "rating_scale", "arousal_rating"]), target)
    (tmp_path / "old" / "summary.json").write_bytes((built / "summary.json").read_bytes())
    assert labels_by_class(tmp_path / "old", labels="native") == before


def test_rows_are_filtered_mapped_and_saved_without_torchcodec(built, tmp_path):
    rows = load(built, labels="native")["train"]
    happy = rows.features["label"].str2int("happiness")
    chosen = rows.filter(lambda row: row["label"] == happy).map(lambda row: {"samples": len(decode(row["audio"]))})
    assert set(chosen["samples"]) == {8000} and len(chosen.to_pandas()) == len(chosen) > 0
    chosen.to_parquet(tmp_path / "chosen.parquet")
    again = load_dataset("parquet", data_files=str(tmp_path / "chosen.parquet"), split="train")
    assert again.features["label"].names == rows.features["label"].names
    chosen.save_to_disk(tmp_path / "disk")
    assert load_from_disk(tmp_path / "disk")["utterance_id"] == chosen["utterance_id"]


def test_plain_datasets_reads_rows_without_torchcodec(built):
    rows = load_dataset("parquet", data_files=f"{built}/*/*-train*.parquet", split="train")
    happy = rows.filter(lambda emotion: emotion == "happiness", input_columns="emotion")
    assert len(happy.to_pandas()) == len(happy) > 0
    audio = happy.cast_column("audio", Audio(decode=False))[0]["audio"]
    assert len(decode(audio)) == 8000


def test_torchcodec_decodes_rows(built):
    pytest.importorskip("torchcodec")
    rows = load_dataset("parquet", data_files=f"{built}/*/*-train*.parquet", split="train")
    samples = rows[0]["audio"]["array"]
    assert samples == pytest.approx(decode(rows.cast_column("audio", Audio(decode=False))[0]["audio"]), abs=1e-4)
