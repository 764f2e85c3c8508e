"""audformat databases as people have them: what audb delivers, and what users make with audformat themselves."""

import json
import shutil
from collections import Counter
from dataclasses import replace

import pandas as pd
import pytest

from exhubert.cli.main import main
from exhubert.emoset import build, load, read
from exhubert.emoset.catalog import entry
from exhubert.emoset.listing import corpus_entry, list_corpus
from exhubert.emoset.record import Vote
from exhubert.emoset.sources import find_corpora

from ...conftest import write_tone

audformat = pytest.importorskip("audformat", reason="audformat databases need: pip install 'exhubert[corpora]'")

GERMAN = {"W": "anger", "L": "boredom", "E": "disgust", "A": "fear", "F": "happiness", "T": "sadness", "N": "neutral"}
GENDERS = {"03": "male", "08": "female", "12": "male", "13": "female"}
FORMATS = ("csv", "parquet")


def new(name="mine", **facts):
    return audformat.Database(name, source="made up", usage="unrestricted", **facts)


def add(db, table, index, split=None, **columns):
    """Adds a table; a column is a list of values, with its scheme and rater if they aren't named after it."""
    index = audformat.filewise_index(index) if isinstance(index, list) else index
    is_table = list(index.names) in (["file"], ["file", "start", "end"])
    db[table] = audformat.Table(index, split_id=split) if is_table else audformat.MiscTable(index)
    for name, column in columns.items():
        values, scheme, rater = column if isinstance(column, tuple) else (column, name, None)
        if rater and rater not in db.raters:
            db.raters[rater] = audformat.Rater("human")
        known = scheme if scheme in db.schemes else None
        db[table][name] = audformat.Column(scheme_id=known, rater_id=rater)
        db[table][name].set(values)


def saved(db, root, storage="csv"):
    root.mkdir(parents=True, exist_ok=True)
    db.save(str(root), storage_format=storage)
    return root


def records(root, **columns):
    return list(read(replace(corpus_entry(root.name, root), columns=columns), root))


def labels(root, **columns):
    return {record.file.name: record.raw_label for record in records(root, **columns)}


def emotion_scheme(db, names=("anger", "happiness", "neutral", "sadness"), **facts):
    db.schemes["emotion"] = audformat.Scheme(labels=list(names), **facts)


@pytest.fixture(params=FORMATS)
def emodb(tmp_path, request):
    """EMO-DB as audb delivers version 1.4.1, with fewer recordings: tables, schemes, splits and misc table alike."""
    db = new("emodb", languages=["de"], license="CC0-1.0", author="Burkhardt and others", description="Berlin")
    files = [f"wav/{speaker}a0{text}{code}a.wav" for speaker in GENDERS for text in (1, 2) for code in GERMAN]
    emotion_scheme(db, GERMAN.values())
    db.schemes["confidence"] = audformat.Scheme("float", minimum=0, maximum=1)
    db.schemes["age"] = audformat.Scheme("int", minimum=0)
    db.schemes["gender"] = audformat.Scheme(labels=["female", "male"])
    db.schemes["language"] = audformat.Scheme("str")
    db.schemes["duration"] = audformat.Scheme("time")
    db.schemes["transcription"] = audformat.Scheme(labels={"a01": "Der Lappen.", "a02": "Das will sie."})
    speakers = pd.Index([int(name) for name in GENDERS], name="speaker")
    add(db, "speaker", speakers, age=[31, 34, 30, 32], gender=list(GENDERS.values()), language=["deu"] * 4)
    db.schemes["speaker"] = audformat.Scheme("int", labels="speaker")
    db.splits["train"], db.splits["test"] = audformat.Split("train"), audformat.Split("test")
    for split in (None, "test", "train"):
        table = f"emotion.categories.{split}.gold_standard" if split else "emotion"
        names = [name for name in files if split is None or (name[4] == "1") == (split == "test")]
        confidence = ([0.9] * len(names), "confidence", "gold")
        emotions = ([GERMAN[name[9]] for name in names], "emotion", "gold")
        add(db, table, names, split, emotion=emotions, **{"emotion.confidence": confidence})
    texts = [name[6:9] for name in files]
    durations = [pd.Timedelta(seconds=0.5)] * len(files)
    add(db, "files", files, duration=durations, speaker=[int(name[4:6]) for name in files], transcription=texts)
    root = saved(db, tmp_path / "corpora" / "emodb", request.param)
    for number, name in enumerate(files):
        write_tone(root / name, frequency=100.0 + 17 * number)
    return root


def test_emo_db_from_audb_is_the_corpus_of_the_catalog_with_its_split_and_speakers(emodb):
    sources = find_corpora(emodb.parent)
    assert sources.found == {"emo_db": emodb} == find_corpora(emodb).found
    listing = list_corpus("emo_db", emodb)
    assert listing.entry.licence == entry("emo_db").licence and listing.rule == "official"
    found = {item.record.file.name: item for item in listing.utterances}
    assert len(found) == 56 and not listing.dropped and not listing.rejected
    item = found["13a02Wa.wav"]
    record = item.record
    assert (record.raw_label, record.speaker, record.gender, record.age) == ("anger", "13", "female", "32")
    assert (record.language, record.text, item.class_name) == ("de", "Das will sie.", "high_negative")
    assert json.loads(record.other) == {"emotion.confidence": 0.9}
    published = Counter((item.record.speaker, item.record.partition) for item in listing.utterances)
    assert published == {("3", "train"): 14, ("8", "train"): 14, ("12", "test"): 14, ("13", "test"): 14}


def test_an_audformat_database_is_built_by_one_command(emodb, tmp_path, capsys):
    assert main(["emoset", "build", "--root", str(emodb.parent), "--output", str(tmp_path / "out")]) == 0
    assert "56 utterances" in capsys.readouterr().out
    rows = [row for part in load(tmp_path / "out").values() for row in part]
    assert {row["emotion"] for row in rows} == set(GERMAN.values())
    assert {row["published_partition"] for row in rows} == {"train", "test"}
    assert {row["speaker"] for row in rows} == {f"emo_db/{int(name)}" for name in GENDERS}


def test_verify_takes_words_for_labels_of_the_corpus(emodb, capsys):
    assert main(["emoset", "verify", "--root", str(emodb.parent)]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("emo_db ")]
    assert "56 of 535 utterances" in line and "without a class" not in line and "no utterance of" not in line


def test_the_name_in_the_header_tells_the_corpus_and_audb_puts_it_below_version_and_hash(emodb, tmp_path):
    cache = tmp_path / "audb" / "some corpus" / "1.4.1" / "d3b62a9b"
    cache.parent.mkdir(parents=True)
    shutil.copytree(emodb, cache)
    assert find_corpora(tmp_path / "audb").found == {"emo_db": tmp_path / "audb" / "some corpus"}
    assert corpus_entry("mine", tmp_path / "audb" / "some corpus").redistribution == entry("emo_db").redistribution
    listing = list_corpus("emo_db", tmp_path / "audb" / "some corpus")
    assert listing.utterances[0].source_file == "1.4.1/d3b62a9b/wav/03a01Aa.wav"


def test_facts_that_the_header_tells_are_those_of_your_own_corpus(tmp_path):
    db = new("Zorn und Freude", languages=["deu", "en"], license="CC-BY-4.0", author="A. Author")
    emotion_scheme(db, ["Wut", "Freude"])
    add(db, "emotion", ["a.wav", "b.wav"], emotion=["Wut", "Freude"])
    root = saved(db, tmp_path / "mine")
    facts = corpus_entry("mine", root)
    assert (facts.id, facts.full_name, facts.reference) == ("mine", "Zorn und Freude", "A. Author")
    assert facts.licence == "CC-BY-4.0 https://creativecommons.org/licenses/by/4.0/"
    assert facts.languages == ["und", "de", "en"], "rows have no language unless a table names it"
    assert [facts.class_of(word) for word in ("Wut", "Freude", "joy")] == [
        "high_negative",
        "high_positive",
        "high_positive",
    ]


def test_segments_join_what_is_known_of_their_files_and_times_may_be_missing(tmp_path):
    db = new()
    emotion_scheme(db)
    db.schemes["speaker"] = audformat.Scheme(labels={"eva": {"gender": "female", "age": 40, "city": "Ulm"}, "tom": {}})
    index = audformat.segmented_index(
        ["a.wav", "a.wav", "b.wav", "c.wav"], [0, 1.25, 2, 0], [1.25, 2.5, pd.NaT, pd.NaT]
    )
    add(db, "emotion", index, emotion=["anger", "happiness", None, "neutral"])
    add(db, "words", index, transcription=["one", "two", "three", "four"])
    add(db, "files", ["a.wav", "b.wav"], speaker=["eva", "tom"])
    root = saved(db, tmp_path / "mine", "parquet")
    found = [(item.file.name, item.start, item.end, item.raw_label, item.text) for item in records(root)]
    assert found == [
        ("a.wav", 0.0, 1.25, "anger", "one"),
        ("a.wav", 1.25, 2.5, "happiness", "two"),
        ("b.wav", 2.0, None, "", "three"),
        ("c.wav", None, None, "neutral", "four"),
    ]
    speakers = [(item.speaker, item.gender, item.age, item.other) for item in records(root)]
    assert speakers == [("eva", "female", "40", '{"speaker.city": "Ulm"}')] * 2 + [
        ("tom", None, None, None),
        (None,) * 4,
    ]


@pytest.mark.parametrize(
    ("split", "tables", "parts"),
    [
        (None, ("emotion.train", "emotion.dev", "emotion.test"), {"train", "validation", "test"}),
        (None, ("emotion.train", "emotion.test-1", "emotion.test-2"), {"train", "test"}),
        (None, ("emotion_train", "emotion_devel", "emotion_eval"), {"train", "validation", "test"}),
        ("type", ("emotion.a", "emotion.b", "emotion.c"), {"train", "validation", "test"}),
        (None, ("emotion.a", "emotion.b", "emotion.c"), {None}),
    ],
)
def test_the_partition_is_the_split_of_a_table_or_a_word_in_its_name(tmp_path, split, tables, parts):
    db = new()
    emotion_scheme(db)
    kinds = ("train", "dev", "test")
    for number, (table, kind) in enumerate(zip(tables, kinds, strict=True)):
        db.splits[f"split{number}"] = audformat.Split(kind)
        add(db, table, [f"{number}.wav"], f"split{number}" if split else None, emotion=["anger"])
    assert {record.partition for record in records(saved(db, tmp_path / "mine"))} == parts


def test_tables_that_only_list_files_and_a_column_can_tell_the_partition_too(tmp_path):
    db = new()
    emotion_scheme(db)
    files = ["a.wav", "b.wav", "c.wav"]
    add(db, "emotion", files, emotion=["anger"] * 3)
    for name, file in zip(("train", "dev", "test"), files, strict=True):
        add(db, name, [file])
    root = saved(db, tmp_path / "listed")
    assert [record.partition for record in records(root)] == ["train", "validation", "test"]
    db = new()
    emotion_scheme(db)
    db.schemes["split"] = audformat.Scheme(labels=["train", "dev", "test"])
    add(db, "emotion", files, emotion=["anger"] * 3, usage_split=(["train", "test", "dev"], "split", None))
    root = saved(db, tmp_path / "column")
    assert [record.partition for record in records(root)] == ["train", "test", "validation"]


def test_splits_that_share_speakers_are_published_but_not_used(tmp_path):
    db = new()
    emotion_scheme(db)
    for number, split in enumerate(("train", "test")):
        files = [f"{number}{index}.wav" for index in range(4)]
        add(db, f"emotion.{split}", files, emotion=["anger", "neutral"] * 2, speaker=["a", "b", "c", "d"])
    listing = list_corpus("mine", saved(db, tmp_path / "mine"))
    assert "official" not in listing.rule and {item.record.partition for item in listing.utterances} == {
        "train",
        "test",
    }


def test_folds_are_no_partitions(tmp_path, caplog):
    db = new()
    emotion_scheme(db)
    files = ["a.wav", "b.wav"]
    for fold, (train, test) in enumerate((files, files[::-1])):
        add(db, f"fold{fold}.train", [train], emotion=["anger"])
        add(db, f"fold{fold}.test", [test], emotion=["anger"])
    assert [record.partition for record in records(saved(db, tmp_path / "mine"))] == [None, None]
    assert "2 utterances are in tables of several partitions" in caplog.text


def crema_d(root):
    """CREMA-D's tables in audb: intended emotions, gold standards for voice and face, counts of votes."""
    db = new("something")
    names = ["anger", "happiness", "neutral", "no_agreement", "sadness"]
    emotion_scheme(db, names)
    db.schemes["votes"] = audformat.Scheme("int", minimum=0)
    db.schemes["emotion.level"] = audformat.Scheme("float", minimum=0, maximum=100)
    for split, file in (("train", "1/1.wav"), ("test", "2/2.wav")):
        db.splits[split] = audformat.Split(split)
        add(db, f"emotion.categories.desired.{split}", [file], split, emotion=["anger"])
        add(
            db,
            f"emotion.categories.{split}.gold_standard",
            [file],
            split,
            emotion=["neutral"],
            **{"emotion.level": [20.5]},
        )
        add(db, f"emotion.categories.face.{split}.gold_standard", [file], split, emotion=["sadness"])
        several = {"emotion.0": (["neutral"], "emotion", None), "emotion.1": (["anger"], "emotion", None)}
        add(db, f"emotion.categories.{split}", [file], split, **several)
        votes = {"anger": ([2], "votes", None), "neutral": ([5], "votes", None), "sadness": ([0], "votes", None)}
        add(db, f"emotion.categories.{split}.votes", [file], split, **votes)
        add(db, f"emotion.categories.face.{split}.votes", [file], split, **votes)
    return saved(db, root)


def test_gold_standards_of_the_voice_come_first_and_counts_are_votes(tmp_path, caplog):
    root = crema_d(tmp_path / "mine")
    assert labels(root) == {"1.wav": "neutral", "2.wav": "neutral"}
    assert "the labels are those of" in caplog.text and "desired.test.emotion (they differ for 1 of 1" in caplog.text
    record = records(root)[0]
    assert record.votes == (Vote(label="anger", count=2), Vote(label="neutral", count=5))
    assert json.loads(record.other)["emotion.level"] == 20.5 and record.partition == "train"


def test_a_corpus_that_the_catalog_knows_by_intended_emotions_keeps_them(tmp_path):
    root = crema_d(tmp_path / "crema-d")
    assert find_corpora(tmp_path).found == {"crema_d": root}
    assert {item.record.raw_label for item in list_corpus("crema_d", root).utterances} == {"anger"}


def test_the_map_chooses_tables_and_columns_with_patterns(tmp_path):
    root = crema_d(tmp_path / "mine")
    assert set(labels(root, tables="emotion.categories.desired.*").values()) == {"anger"}
    assert set(labels(root, label="emotion.categories.face.*.emotion").values()) == {"sadness"}
    train = "emotion.categories.desired.train, emotion.categories.train.gold_standard"
    with pytest.raises(
        ValueError, match=r"differ for 1 of 1 .* isn't clear .* The tables are .*emotion.categories.train"
    ):
        records(root, tables=train)
    with pytest.raises(ValueError, match=r"no column valence.vote, which is to be the valence. The tables are emotion"):
        records(root, valence="valence.vote")
    with pytest.raises(ValueError, match=r"no table gold\. The tables are"):
        records(root, tables="gold")


def test_a_gold_standard_comes_before_another_annotation_and_what_agrees_completes_it(tmp_path):
    db = new()
    emotion_scheme(db)
    add(db, "emotion", ["a.wav", "b.wav"], emotion=["anger", "anger"])
    add(db, "emotion.train.gold_standard", ["a.wav"], emotion=["neutral"])
    assert labels(saved(db, tmp_path / "other")) == {"a.wav": "neutral"}
    db["emotion"]["emotion"].set(["neutral", "anger"])
    assert labels(saved(db, tmp_path / "same")) == {"a.wav": "neutral", "b.wav": "anger"}


def test_the_mother_tongue_of_a_speaker_is_not_the_language_of_the_speech(tmp_path):
    db = new(languages=["de"])
    emotion_scheme(db)
    db.schemes["speaker"] = audformat.Scheme(labels={"x": {"language": "tur"}, "y": {"language": "deu"}})
    add(db, "emotion", ["a.wav", "b.wav"], emotion=["anger", "anger"], speaker=["x", "y"])
    assert [record.language for record in records(saved(db, tmp_path / "mine"))] == [None, "de"]


def test_tables_that_contradict_each_other_are_listed(tmp_path):
    db = new()
    emotion_scheme(db)
    add(db, "emotion.first", ["a.wav", "b.wav"], emotion=["anger", "anger"])
    add(db, "emotion.second", ["a.wav", "b.wav"], emotion=["anger", "neutral"], mood=["x", "y"])
    with pytest.raises(ValueError) as error:
        records(saved(db, tmp_path / "mine"))
    assert "emotion.first.emotion and emotion.second.emotion differ for 1 of 2 utterances" in str(error.value)
    assert "emotion.first (emotion); emotion.second (emotion, mood)" in str(error.value)
    assert labels(tmp_path / "mine", label="emotion.second.emotion") == {"a.wav": "anger", "b.wav": "neutral"}


def test_a_database_without_emotions_lists_its_columns(tmp_path):
    db = new()
    add(db, "files", ["a.wav"], speaker=["a"], style=["loud"])
    with pytest.raises(
        ValueError, match=r"no column is an emotion .* --columns label=TABLE.COLUMN .*files \(speaker, style\)"
    ):
        records(saved(db, tmp_path / "mine"))
    assert labels(tmp_path / "mine", label="style") == {"a.wav": "loud"}


def test_raters_give_votes_and_the_most_frequent_answer_is_the_label_if_there_is_no_other(tmp_path, caplog):
    db = new()
    emotion_scheme(db)
    answers = {"ann": ["anger", "anger"], "bob": ["anger", "neutral"], "cem": ["neutral", None]}
    db.raters["ann"], db.raters["bob"], db.raters["cem"] = (audformat.Rater("human") for _ in range(3))
    add(db, "emotion", ["a.wav", "b.wav"], **{name: (each, "emotion", name) for name, each in answers.items()})
    root = saved(db, tmp_path / "raters")
    assert labels(root) == {"a.wav": "anger", "b.wav": ""} and "only answers of raters" in caplog.text
    assert records(root)[1].votes == (Vote("ann", "anger"), Vote("bob", "neutral"))
    add(db, "emotion.gold_standard", ["a.wav", "b.wav"], emotion=["neutral", "neutral"])
    root = saved(db, tmp_path / "gold")
    assert labels(root) == {"a.wav": "neutral", "b.wav": "neutral"} and len(records(root)[0].votes) == 3


def test_ratings_have_their_scale_and_single_ratings_the_same(tmp_path):
    db = new()
    db.schemes["arousal"] = audformat.Scheme("float", minimum=0, maximum=1)
    db.schemes["valence"] = audformat.Scheme("float", minimum=0, maximum=1)
    db.schemes["arousal.original"] = audformat.Scheme("int", minimum=1, maximum=5)
    db.schemes["arousal.raw"] = audformat.Scheme("int")
    raters = {name: ([value], "arousal.original", name) for name, value in (("Rater01", 1), ("Rater02", 3))}
    add(db, "emotion.dimensions.train.gold_standard", ["a.wav"], arousal=[0.25], valence=[0.5])
    root = saved(db, tmp_path / "gold")
    (record,) = records(root)
    assert (record.raw_label, record.arousal, record.valence, record.dominance) == ("", 0.25, 0.5, None)
    assert (record.rating_scale, record.votes, record.partition) == ((0.0, 1.0), (), "train")
    add(db, "ratings", ["a.wav"], **raters)
    (record,) = records(saved(db, tmp_path / "raters"))
    assert record.votes == (), "a scheme with another name isn't known to be arousal"


def test_columns_of_raters_are_votes_on_the_scale_of_the_gold_standard(tmp_path):
    db = new()
    db.schemes["arousal"] = audformat.Scheme("float", minimum=1, maximum=5)
    db.schemes["activation"] = audformat.Scheme("float", minimum=0, maximum=1)
    add(db, "arousal.test", ["a.wav"], Rater01=([1.0], "arousal", "Rater01"), Rater02=([3.0], "arousal", "Rater02"))
    add(db, "emotion.dimensions.gold_standard", ["a.wav"], arousal=([0.25], "activation", None))
    (record,) = records(saved(db, tmp_path / "mine"))
    assert (record.arousal, record.rating_scale) == (0.25, (0.0, 1.0))
    assert record.votes == (Vote("Rater01", arousal=0.0), Vote("Rater02", arousal=0.5))


def test_the_mean_of_single_ratings_is_the_rating_if_there_is_no_other(tmp_path):
    db = new()
    db.schemes["valence"] = audformat.Scheme("int", minimum=1, maximum=5)
    raters = {name: ([value], "valence", name) for name, value in (("r1", 1), ("r2", 4))}
    add(db, "valence.train", ["a.wav"], **raters)
    (record,) = records(saved(db, tmp_path / "mine"))
    assert (record.valence, record.rating_scale, record.partition) == (2.5, (1.0, 5.0), "train")


def test_a_table_with_a_row_for_each_file_and_rater_gives_votes(tmp_path):
    db = new()
    emotion_scheme(db)
    db.schemes["valence"] = audformat.Scheme("int", minimum=1, maximum=5)
    add(db, "emotion", ["a.wav"], emotion=["anger"])
    index = pd.MultiIndex.from_arrays([["a.wav", "a.wav"], ["r1", "r2"]], names=["file", "rater"])
    add(db, "answers", index, emotion=["anger", "sadness"], valence=[2, 1])
    (record,) = records(saved(db, tmp_path / "mine"))
    assert record.votes == (Vote("r1", "anger", valence=2.0), Vote("r2", "sadness", valence=1.0))


@pytest.mark.parametrize("storage", FORMATS)
def test_codes_have_the_names_of_their_scheme_and_several_labels_stay_together(tmp_path, storage):
    db = new()
    db.schemes["emotion"] = audformat.Scheme(labels={0: "anger", 1: "joy", 2: "what not"})
    add(db, "emotion", ["a.wav", "b.wav", "c.wav", "d.wav"], emotion=[0, 1, 2, None])
    root = saved(db, tmp_path / "numbers", storage)
    assert labels(root) == {"a.wav": "anger", "b.wav": "joy", "c.wav": "what not", "d.wav": ""}
    db = new()
    db.schemes["emotion"] = audformat.Scheme(
        labels={"ww": {"name": "anger", "german": "Wut"}, "sadness": {"german": "Trauer"}}
    )
    add(db, "emotion", ["a.wav", "b.wav"], emotion=["ww", "sadness"])
    assert labels(saved(db, tmp_path / "codes", storage)) == {"a.wav": "anger", "b.wav": "sadness"}
    db = new()
    db.schemes["emotion"] = audformat.Scheme("object")
    add(
        db, "emotion", ["a.wav", "b.wav", "c.wav"], emotion=pd.Series([["anger", "sadness"], ["joy"], []], dtype=object)
    )
    assert labels(saved(db, tmp_path / "lists", storage)) == {"a.wav": "anger, sadness", "b.wav": "joy", "c.wav": ""}


def test_yes_or_no_for_each_emotion_is_a_label_if_there_is_no_other(tmp_path):
    db = new()
    db.schemes["presence"] = audformat.Scheme("bool")
    db.schemes["emotion.intensity"] = audformat.Scheme("float", minimum=0, maximum=3)
    index = audformat.segmented_index(["a.wav"] * 3, [0, 1, 2], [1, 2, 3])
    strengths = {
        "happiness": ([0.6, 0.3, 0], "emotion.intensity", None),
        "anger": ([0, 1, 0], "emotion.intensity", None),
    }
    add(db, "emotion", index, **strengths)
    yes = {"happiness": ([True, True, False], "presence", None), "anger": ([False, True, False], "presence", None)}
    add(db, "emotion.presence", index, **yes)
    found = [record.raw_label for record in records(saved(db, tmp_path / "mine"))]
    assert found == ["happiness", "happiness, anger", ""]


def test_values_that_the_scheme_does_not_list_are_kept(tmp_path):
    db = new()
    emotion_scheme(db)
    add(db, "emotion", ["a.wav", "b.wav"], emotion=["anger", "neutral"])
    root = saved(db, tmp_path / "mine")
    path = root / "db.emotion.csv"
    path.write_text(path.read_text().replace("neutral", "sarcasm"))
    assert labels(root) == {"a.wav": "anger", "b.wav": "sarcasm"}


def test_rows_without_a_label_are_kept_without_a_class_and_missing_media_are_set_aside(tmp_path):
    db = new()
    emotion_scheme(db)
    add(db, "emotion", ["a.wav", "b.wav", "lost.wav"], emotion=["anger", None, "anger"])
    root = saved(db, tmp_path / "mine")
    for name in ("a.wav", "b.wav"):
        write_tone(root / name)
    listing = list_corpus("mine", root)
    assert [item.class_name for item in listing.utterances] == ["high_negative", None, "high_negative"]
    (facts,) = build({"mine": root}, tmp_path / "out").values()
    assert (facts.utterances, facts.rejected) == (2, 1)
    assert "lost.wav" in (tmp_path / "out" / "mine" / "rejected.jsonl").read_text()


def test_paths_may_be_absolute_have_backslashes_or_come_from_another_machine(tmp_path):
    root = tmp_path / "mine"
    for name in ("sub/a.wav", "sub/b.wav", "c.wav"):
        write_tone(root / name)
    db = new()
    emotion_scheme(db)
    files = [str(root / "sub/a.wav"), "sub\\b.wav", "/data/old/mine/c.wav", "D:\\speech\\sub\\a.wav"]
    add(db, "emotion", files, emotion=["anger"] * 4)
    saved(db, root)
    found = [record.file for record in records(root)]
    assert sorted(found) == sorted([root / "sub/a.wav", root / "sub/b.wav", root / "c.wav", root / "sub/a.wav"])


def test_laryngograph_signals_and_songs_are_no_speech(tmp_path):
    db = new()
    emotion_scheme(db)
    add(db, "emotion", ["wav/a.wav"], emotion=["anger"])
    add(db, "laryngo.emotion", ["laryngo/a.wav"], emotion=["anger"])
    add(db, "emotion.song.train", ["songs/a.wav"], emotion=["anger"])
    root = saved(db, tmp_path / "mine")
    assert list(labels(root)) == ["a.wav"] and records(root)[0].path.endswith("wav/a.wav")
    assert [record.path for record in records(root, tables="emotion.song.*")] == [str(root / "songs/a.wav")]


def test_pickles_are_never_read(tmp_path):
    class Trap:
        def __reduce__(self):
            return (__import__("pathlib").Path.touch, (tmp_path / "trapped",))

    db = new()
    emotion_scheme(db)
    add(db, "emotion", ["a.wav"], emotion=["anger"])
    root = saved(db, tmp_path / "mine")
    pd.to_pickle(Trap(), root / "db.emotion.pkl")
    assert labels(root) == {"a.wav": "anger"}
    (root / "db.emotion.csv").unlink()
    with pytest.raises(
        ValueError, match=r"db.emotion.pkl: the table emotion is only there as a pickle, which isn't read"
    ):
        records(root)
    assert not (tmp_path / "trapped").exists()


def test_a_header_cannot_make_python_run_anything(tmp_path):
    db = new()
    emotion_scheme(db)
    add(db, "emotion", ["a.wav"], emotion=["anger"])
    root = saved(db, tmp_path / "mine")
    trap = f"trap: !!python/object/apply:os.mkdir ['{tmp_path / 'trapped'}']\n"
    (root / "db.yaml").write_text((root / "db.yaml").read_text() + trap)
    with pytest.raises(ValueError, match=r"db.yaml can't be read \(could not determine a constructor"):
        records(root)
    assert not (tmp_path / "trapped").exists()


def test_damaged_tables_are_named(tmp_path):
    db = new()
    emotion_scheme(db)
    index = audformat.segmented_index(["a.wav"], [0], [1.5])
    add(db, "emotion", index, emotion=["anger"])
    root = saved(db, tmp_path / "mine")
    path = root / "db.emotion.csv"
    path.write_text("emotion,start,end,file\nanger,0,1,a.wav\n")
    with pytest.raises(
        ValueError, match=r"db.emotion.csv: expected the columns file, start, end, emotion, .* found emotion, start"
    ):
        records(root)
    path.write_text("file,start,end,emotion\na.wav,0,1.5,anger\n")
    with pytest.raises(ValueError, match=r"db.emotion.csv: audformat can't read .* written as 0 days 00:00:01.25"):
        records(root)
    path.write_text("file,start,end,emotion\na.wav,0 days,soon,anger\n")
    with pytest.raises(ValueError, match=r"db.emotion.csv: audformat can't read this table"):
        records(root)
    path.unlink()
    with pytest.raises(
        ValueError, match=r"db.yaml has a table emotion, but there is no db.emotion.parquet or db.emotion.csv"
    ):
        records(root)


def test_columns_in_another_order_encoding_and_empty_tables_are_read(tmp_path, caplog):
    db = new()
    emotion_scheme(db)
    add(db, "emotion", ["a.wav"], emotion=["anger"], speaker=["x"])
    add(db, "emotion.test", [], emotion=[])
    root = saved(db, tmp_path / "mine")
    (root / "db.emotion.csv").write_bytes(
        "file,speaker,added,emotion\nmüde.wav,José,1,anger\nweg.wav,Zoë,2,joy\n".encode("cp1252")
    )
    found = [(record.file.name, record.speaker, record.raw_label) for record in records(root)]
    assert found == [("müde.wav", "José", "anger"), ("weg.wav", "Zoë", "joy")]
    assert "these columns aren't used, for db.yaml lacks them: added" in caplog.text
    (root / "db.emotion.csv").write_text("file,speaker,emotion\na.wav,José,anger\n", encoding="utf-8")
    assert [(record.speaker, record.raw_label) for record in records(root)] == [("José", "anger")]


def test_recordings_that_no_table_of_labels_names_are_counted(tmp_path, caplog):
    db = new()
    emotion_scheme(db)
    add(db, "emotion", ["a.wav"], emotion=["anger"])
    add(db, "files", ["a.wav", "b.wav"], speaker=["x", "y"])
    assert len(records(saved(db, tmp_path / "mine"))) == 1
    assert "1 of 2 recordings are in no table of labels and aren't used, such as b.wav" in caplog.text


def test_a_property_of_a_scheme_can_be_mapped(tmp_path):
    db = new()
    emotion_scheme(db)
    db.schemes["who"] = audformat.Scheme(labels={"x": {"sexe": "F", "ans": 30}})
    add(db, "emotion", ["a.wav"], emotion=["anger"], who=["x"])
    root = saved(db, tmp_path / "mine")
    (record,) = records(root, speaker="emotion.who", gender="who.sexe", age="who.ans")
    assert (record.speaker, record.gender, record.age) == ("x", "female", "30")


def test_a_column_that_the_map_names_wrongly_is_never_taken_for_a_property_of_a_scheme(tmp_path):
    db = new()
    emotion_scheme(db)
    add(db, "emotion", ["a.wav"], emotion=["anger"])
    root = saved(db, tmp_path / "mine")
    facts = replace(entry("manifest"), columns={"speaker": "emotion.spk"})
    with pytest.raises(ValueError, match="there is no column emotion.spk, which is to be the speaker"):
        list(read(facts, root))
    facts = replace(entry("manifest"), columns={"raw_label": "Emotion.EMOTION"})
    assert [record.raw_label for record in read(facts, root)] == ["anger"], "in any case, as in other tables"


def test_a_column_may_tell_the_partition_among_other_words(tmp_path):
    db = new()
    emotion_scheme(db)
    files = ["a.wav", "b.wav", "c.wav"]
    add(db, "emotion", files, emotion=["anger"] * 3, subset=["train_1", "Test set", "evaluation"])
    found = [record.partition for record in records(saved(db, tmp_path / "mine"))]
    assert found == ["train", "test", "validation"]
