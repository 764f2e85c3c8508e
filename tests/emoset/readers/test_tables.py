"""Tables and folders in which other libraries keep speech: nkululeko, audio folders of datasets, listeners' votes."""

import json
import tracemalloc
from dataclasses import replace

import pandas as pd
import pytest

from exhubert.emoset import build
from exhubert.emoset.catalog import entry
from exhubert.emoset.catalog.problems import problems
from exhubert.emoset.listing import corpus_entry, list_corpora, list_corpus
from exhubert.emoset.readers import READERS, read
from exhubert.emoset.record import Vote
from exhubert.emoset.sources import find_corpora

from ...conftest import write_tone
from ..conftest import touch


def write(root, name, *lines, files=()):
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text("".join(f"{line}\n" for line in lines))
    touch(root, *files)
    return root


def facts_of(records, *names):
    return [tuple(getattr(record, name) for name in names) for record in records]


NKULULEKO = (
    "file,start,end,speaker,gender,emotion,split,database",
    "wav/a.wav,0 days,0 days 00:00:01.250000,s1,female,anger,Train Set,emodb",
    "wav/a.wav,0 days 00:00:02,0 days 00:00:03,s1,female,happy,train_1,emodb",
    "wav/b.wav,0 days,,s2,male,sad,Test2,polish",
)


def test_a_table_of_nkululeko_is_found_by_its_columns_whatever_its_name(tmp_path):
    root = write(tmp_path / "mine", "emodb.segmented.csv", *NKULULEKO, files=["wav/a.wav", "wav/b.wav"])
    write(root, "results.csv", "model,uar", "svm,0.5")
    assert find_corpora(tmp_path).found == {"mine": root}
    names = ("start", "end", "speaker", "gender", "raw_label", "partition", "corpus")
    assert facts_of(read("manifest", root), *names) == [
        (0.0, 1.25, "s1", "female", "anger", "train", "emodb"),
        (2.0, 3.0, "s1", "female", "happy", "train", "emodb"),
        (0.0, None, "s2", "male", "sad", "test", "polish"),
    ]


def test_a_table_whose_recordings_are_elsewhere_is_no_manifest_unless_it_is_named_so(tmp_path):
    root = write(tmp_path / "mine", "all.csv", "path,speaker,emotion", "lost.wav,s1,anger")
    assert find_corpora(tmp_path).found == {}
    (root / "all.csv").rename(root / "manifest.csv")
    assert find_corpora(tmp_path).found == {"mine": root}


def test_a_manifest_with_paths_of_another_machine_names_the_files_below_its_folder(tmp_path):
    names = ("/data/mine/wav/a.wav", "C:\\\\mine\\\\wav\\\\b.wav", "/data/mine/wav/lost.wav")
    root = write(tmp_path, "manifest.csv", "file,emotion", *(f"{name},anger" for name in names))
    touch(root, "wav/a.wav", "wav/b.wav", "b.wav")
    assert {record.path for record in read("manifest", root)} == {
        *(str(root / "wav" / name) for name in ("a.wav", "b.wav")),
        "/data/mine/wav/lost.wav",
    }


def test_tables_named_after_partitions_and_a_corpus_are_read_together(tmp_path):
    for part in ("train", "dev", "test"):
        write(tmp_path, f"polish_{part}.csv", "file,emotion", f"{part}.wav,anger")
    found = {record.file.stem: record.partition for record in read("manifest", tmp_path)}
    assert found == {"train": "train", "dev": "validation", "test": "test"}


def audio_folder(folder, kind, rows):
    folder.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame(rows, columns=["file_name", "emotion", "speaker_id"])
    if kind == "csv":
        table.to_csv(folder / "metadata.csv", index=False)
    elif kind == "jsonl":
        table.to_json(folder / "metadata.jsonl", orient="records", lines=True)
    else:
        table.to_parquet(folder / "metadata.parquet")
    touch(folder, *(row[0] for row in rows))


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_metadata_at_the_top_of_an_audio_folder_takes_its_partitions_from_the_folders(tmp_path, kind):
    audio_folder(tmp_path / "mine", kind, [("data/train/a.wav", "anger", 1), ("data/test/b.wav", "joy", 2)])
    assert find_corpora(tmp_path).found == {"mine": tmp_path / "mine"}
    found = read("manifest", tmp_path / "mine")
    assert facts_of(found, "raw_label", "speaker", "partition") == [("joy", "2", "test"), ("anger", "1", "train")]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("place", ["mine", "mine/data"])
def test_metadata_in_each_partition_of_an_audio_folder_are_one_corpus(tmp_path, kind, place):
    for part, name in (("train", "a.wav"), ("validation", "b.wav"), ("test", "c.wav")):
        audio_folder(tmp_path / place / part, kind, [(name, "anger", part)])
    for root in (tmp_path, tmp_path / "mine"):
        assert find_corpora(root).found == {"mine": tmp_path / "mine"}
    found = list(read("manifest", tmp_path / "mine"))
    assert [record.file.is_file() for record in found] == [True] * 3
    assert {record.speaker: record.partition for record in found} == {
        name: name for name in ("train", "validation", "test")
    }


def test_a_column_of_file_names_may_say_what_is_in_the_files(tmp_path):
    write(tmp_path, "metadata.csv", "speech_file_name,emotion", "a.wav,anger")
    assert facts_of(read("manifest", tmp_path), "raw_label") == [("anger",)]


@pytest.mark.parametrize(
    ("files", "labels"),
    [
        (["train/anger/1.wav", "train/joy/2.flac", "test/anger/3.mp3"], ["anger", "anger", "joy"]),
        (["high_negative/1.wav", "low_neutral/sub.wav"], ["high_negative", "low_neutral"]),
        (["anger/1.wav", "holiday/2.wav"], None),
        (["s1/anger/1.wav", "s1/joy/2.wav"], None),
        (["anger/1.wav", "2.wav"], None),
    ],
)
def test_recordings_in_folders_named_by_emotions_need_no_table_if_all_are(tmp_path, files, labels):
    touch(tmp_path / "mine", *files)
    found = find_corpora(tmp_path).found
    assert found == ({"mine": tmp_path / "mine"} if labels else {})
    if labels:
        utterances = list_corpus("mine", tmp_path / "mine").utterances
        assert sorted(item.record.raw_label for item in utterances) == labels
        if files[0].startswith("train"):
            assert {item.record.partition for item in utterances} == {"train", "test"}


def test_ratings_age_and_columns_without_a_meaning_are_kept(tmp_path):
    root = write(
        tmp_path,
        "manifest.csv",
        "file;activation;valence;dominance;age;take;snr;note",
        "a.wav;3,5;2;;41;2;12.5;",
        "b.wav;1,5;;4;;;;late",
    )
    first, second = read(replace(entry("manifest"), rating_scale=(1, 5)), root)
    assert facts_of([first], "raw_label", "arousal", "valence", "dominance", "age", "take", "rating_scale") == [
        ("", 3.5, 2.0, None, "41", "2", (1, 5))
    ]
    assert (json.loads(first.other), json.loads(second.other)) == ({"snr": "12.5"}, {"note": "late"})
    assert {record.rating_scale for record in read("manifest", root)} == {None}, "a scale is never guessed"


def test_valence_in_words_is_the_sentiment_and_a_rating_that_is_none_names_its_line(tmp_path):
    root = write(tmp_path, "manifest.csv", "file,label,valence", "a.wav,joy,positive", "b.wav,joy,")
    assert facts_of(read("manifest", root), "sentiment", "valence") == [("positive", None), (None, None)]
    write(tmp_path, "manifest.csv", "file,label,valence", "a.wav,joy,3", "b.wav,joy,high")
    with pytest.raises(ValueError, match="line 3: valence is 'high', expected a number"):
        list(read("manifest", root))


VOTES = {"label": "a{rater}_E", "arousal": "a{rater}_A", "valence": "a{rater}_V"}


def test_columns_of_listeners_become_votes_by_the_patterns_of_the_entry(tmp_path, caplog):
    facts = replace(entry("manifest"), votes=VOTES, rating_scale=(1, 7))
    root = write(
        tmp_path, "manifest.csv", "file,a1_A,a1_V,a1_E,a2_A,a2_V,a2_E", 'x.wav,3,"2,5",joy,,,', "y.wav,1,,,4,5,anger"
    )
    first, second = read(facts, root)
    assert first.votes == (Vote("1", "joy", 3.0, 2.5),)
    assert second.votes == (Vote("1", None, 1.0), Vote("2", "anger", 4.0, 5.0))
    assert facts_of([first, second], "raw_label", "arousal", "valence") == [("joy", 3, 2.5), ("anger", 2.5, 5)]
    assert second.rating_scale == (1, 7) and not caplog.records


def test_a_published_label_and_rating_come_before_those_of_listeners(tmp_path):
    facts = replace(entry("manifest"), votes={"label": "a{rater}_E", "arousal": "a{rater}_A"})
    lines = ("file,label,arousal,a1_A,a1_E,a2_A,a2_E", "x.wav,joy,1,3,fear,5,fear", "y.wav,,,3,fear,5,fear")
    root = write(tmp_path, "manifest.csv", *lines)
    assert facts_of(read(facts, root), "raw_label", "arousal") == [("joy", 1.0), ("", 4.0)]
    write(tmp_path, "manifest.csv", "file,a1_E,a2_E,a1_A", "x.wav,joy,fear,", "y.wav,,,")
    assert facts_of(read(facts, root), "raw_label", "arousal") == [("", None), ("", None)], "a tie has no label"


def test_a_rating_outside_its_scale_is_counted_and_gives_no_class(tmp_path):
    for index in range(3):
        write_tone(tmp_path / f"mine/{index}.wav", frequency=100.0 + 50 * index)
    rows = ("file,speaker,valence,arousal", "0.wav,a,30,40", "1.wav,b,2,2", "2.wav,c,5,1")
    root = write(tmp_path / "mine", "manifest.csv", *rows)
    summary = build({"mine": root}, tmp_path / "out", rating_scale=(1, 5))["mine"]
    assert summary.notes == ["rating outside its scale, and so not used: 1 utterance, such as 0.wav"]
    assert summary.rated == 2, "utterances that get a class from ratings"


@pytest.mark.parametrize("cell", ["", "<NA>", "nan"])
def test_an_utterance_without_a_label_is_kept_and_counted(tmp_path, cell):
    rows = ["file,label,speaker,arousal", "a.wav,joy,s1,", f"b.wav,{cell},s2,", "c.wav,,s3,2"]
    root = write(tmp_path, "manifest.csv", *rows, files=["a.wav", "b.wav", "c.wav"])
    listing = list_corpus("mine", root)
    assert [item.record.raw_label for item in listing.utterances] == ["joy", "", ""]
    assert listing.notes == ["neither label nor ratings, kept without a class: 1 utterance, such as b.wav"]


def test_words_are_the_label_beside_a_column_of_their_codes(tmp_path):
    root = write(tmp_path, "manifest.csv", "file,label,emotion_name", "a.wav,0,joy", "b.wav,1,anger")
    found = list(read("manifest", root))
    assert facts_of(found, "raw_label", "other") == [("joy", '{"label": "0"}'), ("anger", '{"label": "1"}')]


def test_a_list_of_labels_is_written_as_its_labels(tmp_path):
    root = write(tmp_path, "manifest.jsonl", '{"file": "a.wav", "label": ["joy"]}', '{"file": "b.wav", "label": []}')
    assert facts_of(read("manifest", root), "raw_label") == [("joy",), ("",)]
    (root / "manifest.jsonl").unlink()
    write(root, "manifest.csv", "file,label", "a.wav,\"['joy', 'fear']\"", "b.wav,[laughs]")
    assert facts_of(read("manifest", root), "raw_label") == [("joy, fear",), ("[laughs]",)]


@pytest.mark.parametrize("unit", ["start_ms,end_ms", "Start (ms),End (ms)", "onset milliseconds,offset_milliseconds"])
def test_times_in_milliseconds_are_no_times_of_the_whole_recording(tmp_path, unit):
    root = write(tmp_path, "manifest.csv", f"file,{unit},label", "a.wav,500,1250,joy", "a.wav,1250,2500,anger")
    assert facts_of(read("manifest", root), "start", "end") == [(0.5, 1.25), (1.25, 2.5)]


def test_columns_of_the_same_name_are_all_kept(tmp_path):
    root = write(tmp_path, "manifest.csv", "file,label,note,note", "a.wav,joy,x,y")
    assert facts_of(read("manifest", root), "other") == [('{"note": "x", "note column 4": "y"}',)]


def test_genders_and_languages_have_the_words_that_all_readers_know(tmp_path):
    root = write(tmp_path, "manifest.csv", "file,label,sex,lang", "a.wav,Wut,Woman,German", "b.wav,joy,W,en_US")
    assert facts_of(read("manifest", root), "gender", "language") == [("female", "de"), ("female", "en-US")]


@pytest.mark.parametrize("name", ["/home/anna/corpus/wav/a.wav", "C:\\corpus\\wav\\a.wav", "D:/wav/A.wav"])
def test_a_path_of_another_machine_is_found_by_its_end(tmp_path, name):
    root = write(tmp_path, "manifest.csv", "file,label", f"{name},joy", files=["wav/a.wav"])
    assert [record.file for record in read("manifest", root)] == [root / "wav/a.wav"]


def test_numbers_of_listeners_for_each_label_become_votes(tmp_path):
    root = write(tmp_path, "manifest.csv", "file,label,n_joy,n_anger", "x.wav,joy,7,2", "y.wav,joy,1,0")
    first, second = read(replace(entry("manifest"), votes={"count": "n_{label}"}), root)
    assert first.votes == (Vote(label="joy", count=7), Vote(label="anger", count=2))
    assert second.votes == (Vote(label="joy", count=1),)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"votes": {"arousal": "r{rater}_A"}}, r"votes: arousal is 'r\{rater\}_A' .* no column has such a name; found"),
        ({"votes": {"arousal": "a1_A"}}, r"votes: arousal is 'a1_A', expected a name of columns with \{rater\}"),
        ({"votes": {"anger": "a{rater}_A"}}, "votes has 'anger', expected some of label, arousal"),
        ({"columns": {"label": "emo_gt"}}, "there is no column 'emo_gt', which is to be the label"),
        ({"columns": {"mood": "label"}}, "mood is no field that a column can fill"),
    ],
)
def test_columns_of_the_entry_that_a_table_lacks_are_a_sentence(tmp_path, changes, message):
    root = write(tmp_path, "manifest.csv", "file,label,a1_A", "x.wav,joy,3")
    facts = replace(entry("manifest"), **changes)
    with pytest.raises(ValueError, match=message):
        list(read(facts, root))
    if not message.endswith(("found", "the label")):
        assert any(message[:20] in problem for problem in problems(facts, READERS))


def test_the_entry_chooses_among_columns_with_the_same_meaning(tmp_path):
    root = write(tmp_path, "manifest.csv", "utt,wav,emotion,label,who", "1,a.wav,joy,3,anna")
    columns = {"label": "emotion", "speaker": "who"}
    found = read(replace(entry("manifest"), columns=columns), root)
    assert facts_of(found, "raw_label", "speaker", "other") == [("joy", "anna", '{"utt": "1", "label": "3"}')]


@pytest.mark.parametrize("columns", ["file,label,speaker,start,end,partition,text", "file,label,speaker"])
def test_listing_takes_less_than_a_kilobyte_for_each_row(tmp_path, columns):
    """Between two sizes, since some memory doesn't depend on it."""
    peaks = []
    for size in (2_000, 12_000):
        rows = (
            {"file": f"rec/{number:06d}.wav", "label": "joy", "speaker": f"s{number % 40}", "start": number % 20}
            | {"end": number % 20 + 2, "partition": ("train", "test")[number % 40 < 8], "text": f"sentence {number}"}
            for number in range(size)
        )
        pd.DataFrame(rows)[columns.split(",")].to_csv(tmp_path / "manifest.csv", index=False)
        tracemalloc.start()
        assert len(list_corpora({"mine": tmp_path})["mine"].utterances) == size
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert (peaks[1] - peaks[0]) / 10_000 < 1000


def test_two_label_columns_with_the_same_words_need_no_choice(tmp_path):
    root = write(tmp_path, "manifest.csv", "file,emotion,class_label", "a.wav,joy,joy", "b.wav,fear,fear")
    assert facts_of(read("manifest", root), "raw_label") == [("joy",), ("fear",)]
    write(tmp_path, "manifest.csv", "file,emotion,class_label", "a.wav,joy,fear", "b.wav,fear,joy")
    with pytest.raises(ValueError, match="the columns emotion and class_label all mean label"):
        list(read("manifest", root))


def test_paths_may_begin_above_the_folder_of_the_table(tmp_path):
    root = write(tmp_path / "data/mine", "all.csv", "file,speaker,emotion", "./data/mine/wav/a.wav,s1,anger")
    touch(root, "wav/a.wav")
    assert find_corpora(tmp_path / "data").found == {"mine": root}
    assert [record.file.resolve() for record in read("manifest", root)] == [root / "wav/a.wav"]


def test_a_recording_may_be_a_map_with_its_path(tmp_path):
    root = write(tmp_path, "manifest.jsonl", '{"audio": {"path": "a.wav", "bytes": null}, "label": "joy"}')
    assert [record.path for record in read("manifest", root)] == [str(root / "a.wav")]


@pytest.mark.parametrize(
    ("tables", "what"),
    [
        ({"a.csv": "file,speaker,emotion"}, "holds a.csv, but it isn't clear whether that is its list of recordings"),
        ({"a.csv": "file,emotion", "b.tsv": "path\tlabel"}, "holds a.csv and b.tsv, but it isn't clear which is"),
    ],
)
def test_tables_that_are_not_read_are_named_with_what_to_do(tmp_path, tables, what):
    for name, header in tables.items():
        write(tmp_path / "mine", name, header)
    touch(tmp_path / "mine", "x.wav")
    reason = find_corpora(tmp_path).reasons[tmp_path / "mine"]
    assert what in reason and "call it manifest.csv" in reason


def test_an_audio_folder_with_nothing_but_train_has_no_split(tmp_path):
    write(tmp_path / "table" / "train", "metadata.csv", "file_name,emotion", "a.wav,joy", "b.wav,anger")
    touch(tmp_path / "folders", "train/joy/a.wav", "train/anger/b.wav")
    for corpus, root in (("manifest", tmp_path / "table"), ("mine", tmp_path / "folders")):
        records = list(read(corpus_entry(corpus, root), root))
        assert [record.partition for record in records] == [None, None]
    write(tmp_path / "table" / "test", "metadata.csv", "file_name,emotion", "a.wav,joy")
    assert {record.partition for record in read("manifest", tmp_path / "table")} == {"train", "test"}


def test_the_columns_of_msp_podcast_are_understood_also_in_a_table_of_ones_own(tmp_path):
    header = "FileName,EmoClass,EmoAct,EmoVal,EmoDom,SpkrID,Gender,Split_Set,Set"
    root = write(tmp_path, "manifest.csv", header, "a.wav,N,3.2,4,3,127,Male,Development,A", "b.wav,A,1,2,3,5,,Test1,B")
    assert facts_of(read("manifest", root), "raw_label", "speaker", "arousal", "partition") == [
        ("N", "127", 3.2, "validation"),
        ("A", "5", 1.0, "test"),
    ]
