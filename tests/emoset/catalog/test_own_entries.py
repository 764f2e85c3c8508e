"""Corpora of one's own are YAML files in a folder: found, listed, built and checked like those of the package."""

import re
import shutil
from pathlib import Path

import pytest

from exhubert.cli.main import main
from exhubert.emoset import EmoSetPlusPlus, build, catalog, entry, load, read, use_catalog
from exhubert.emoset.catalog import CATALOG_VARIABLE, CatalogError
from exhubert.emoset.sources import find_corpora

from ...conftest import write_tone
from ..conftest import touch

YAML = """
name: My Plays
languages: [de]
speakers: 4
utterances: 24
paths:
  pattern: "{speaker}/{emotion}_{text:digits}.wav"
  values:
    speaker: "Actor_{speaker}"
    gender: {of: speaker, "f*": female, "*": male}
labels:
  wut: Wut
  freude: {emotion: joy, class: high_positive, alternative: high_neutral}
  ruhe: low_positive
"""


@pytest.fixture
def shelf(tmp_path):
    """A folder of YAML files with one entry, `plays`."""
    (tmp_path / "shelf").mkdir()
    (tmp_path / "shelf/plays.yaml").write_text(YAML)
    return tmp_path / "shelf"


@pytest.fixture
def corpora(tmp_path, emo_db):
    """EMO-DB beside a folder with the names of `plays`, which is called otherwise."""
    for index, speaker in enumerate(("f1", "f2", "m1", "m2")):
        for pitch, label in enumerate(("Wut", "freude", "ruhe")):
            for text in ("01", "02"):
                path = emo_db.parent / "takes" / speaker / f"{label}_{text}.wav"
                write_tone(path, frequency=120 + 20 * index + 90 * pitch + int(text))
    return emo_db.parent


def test_an_entry_of_ones_own_is_recognised_listed_shown_verified_and_built(shelf, corpora, tmp_path, capsys):
    option = ["--catalog", str(shelf)]
    assert main(["emoset", "list", "--root", str(corpora), *option]) == 0
    listed = capsys.readouterr().out
    assert (
        f"plays: an entry of your own, {shelf / 'plays.yaml'}" in listed and f"{corpora / 'takes'} (certain)" in listed
    )
    assert main(["emoset", "show", "plays", *option]) == 0
    assert "wut: Wut -> high_negative (user)" in capsys.readouterr().out
    assert main(["emoset", "verify", "--root", str(corpora), *option]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("plays ")]
    assert "complete" in line and "24 of 24 utterances" in line
    assert main(["emoset", "verify", "--root", str(corpora / "emo_db"), *option]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("plays ")]
    assert "absent" in line
    arguments = ["emoset", "build", "--root", str(corpora), "--output", str(tmp_path / "out"), "--num_proc", "2"]
    assert main([*arguments, *option]) == 0
    rows = [row for part in load(tmp_path / "out", ["plays"]).values() for row in part]
    assert {(row["raw_label"], row["emotion"], row["arousal"], row["valence"]) for row in rows} == {
        ("wut", "anger", "high", "negative"),
        ("freude", "happiness", "high", "positive"),
        ("ruhe", "calm", "low", "positive"),
    }
    assert {(row["speaker"], row["gender"]) for row in rows} == {
        *((f"plays/Actor_f{number}", "female") for number in (1, 2)),
        *((f"plays/Actor_m{number}", "male") for number in (1, 2)),
    }
    assert {row["language"] for row in rows} == {"de"} and len(rows) == 24
    assert main(["emoset", "stats", str(tmp_path / "out")]) == 0
    assert (
        "| My Plays | freude | joy | high_positive | user | high_neutral |" in (tmp_path / "out/README.md").read_text()
    )


def test_the_folder_is_given_in_python_by_the_environment_or_for_a_block(shelf, corpora, tmp_path, monkeypatch):
    assert "plays" not in catalog() and "takes" not in str(find_corpora(corpora).found)
    assert find_corpora(corpora, catalog=shelf).found["plays"] == corpora / "takes"
    assert len(list(read("plays", corpora / "takes", catalog=shelf / "plays.yaml"))) == 24
    assert build({"plays": corpora / "takes"}, tmp_path / "out", catalog=shelf)["plays"].name == "My Plays"
    builder = EmoSetPlusPlus(config_name="all", root=corpora, catalog=[shelf], cache_dir=str(tmp_path / "cache"))
    assert set(builder.listings) == {"emo_db", "plays"}
    with use_catalog(shelf):
        assert entry("plays").languages == ["de"]
    assert "plays" not in catalog(), "what was given to one call is gone after it"
    with pytest.raises(CatalogError, match="There is no catalog .*nowhere: give a folder"):
        catalog(tmp_path / "nowhere")
    (tmp_path / "second").mkdir()
    (tmp_path / "second/other.yml").write_text("paths: '{emotion}/{*}.wav'\n")
    monkeypatch.setenv(CATALOG_VARIABLE, f"{shelf}:{tmp_path / 'second'}")
    assert {"plays", "other", "emo_db"} <= set(catalog())
    assert "other" not in catalog(shelf), "what is named takes the place of the environment"
    (shelf / "plays.yaml").write_text(YAML.replace("My Plays", "Our Plays"))
    assert entry("plays").name == "Our Plays", "an edit is seen by the process that read the file before"


def test_a_corpus_is_built_again_if_its_entry_changes_and_not_if_the_folder_moves(shelf, corpora, tmp_path):
    def fingerprint(place):
        return build({"plays": corpora / "takes"}, tmp_path / "out", catalog=place)["plays"].fingerprint

    first = fingerprint(shelf)
    shutil.copytree(shelf, tmp_path / "moved")
    assert fingerprint(tmp_path / "moved") == first
    (shelf / "plays.yaml").write_text(YAML.replace("ruhe: low_positive", "ruhe: low_neutral"))
    assert fingerprint(shelf) != first
    assert {row["valence"] for row in load(tmp_path / "out")["train"] if row["raw_label"] == "ruhe"} == {"neutral"}


def test_label_schemes_name_entries_of_ones_own(shelf, corpora, tmp_path, capsys):
    (tmp_path / "scheme.yaml").write_text("plays: {ruhe: null}\n")
    command = ["emoset", "build", "--corpus", f"plays={corpora / 'takes'}", "--output", str(tmp_path / "out")]
    assert main([*command, "--scheme", str(tmp_path / "scheme.yaml"), "--catalog", str(shelf)]) == 0
    assert "kept without one: ruhe (8)" in capsys.readouterr().out
    (tmp_path / "scheme.yaml").write_text("plays: {rage: null}\n")
    command = ["emoset", "build", "--corpus", f"emo_db={corpora / 'emo_db'}", "--output", str(tmp_path / "out")]
    assert main([*command, "--scheme", str(tmp_path / "scheme.yaml"), "--catalog", str(shelf)]) == 1
    assert "plays has no label 'rage'" in capsys.readouterr().err


def test_only_a_pattern_is_needed_and_emotion_words_are_understood(tmp_path):
    (tmp_path / "short.yaml").write_text("paths: '{speaker}_{emotion}.flac'\nlanguages: it\n")
    touch(tmp_path / "x", "anna_rabbia.flac", "bea_GIOIA.flac", "bea_gioia.wav")
    facts = entry("short", tmp_path / "short.yaml")
    records = list(read(facts, tmp_path / "x"))
    assert [(item.speaker, facts.class_of(item.raw_label)) for item in records] == [
        ("anna", "high_negative"),
        ("bea", "high_positive"),
    ]
    assert (facts.licence, facts.access, facts.utterances) == ("unknown", "your own", "unknown")


def test_recordings_without_the_pattern_are_counted_in_a_warning(shelf, corpora, caplog):
    touch(corpora / "takes", "notes.txt", "f1/ruhe.wav", "f1/test.wav")
    assert len(list(read("plays", corpora / "takes", catalog=shelf))) == 24
    assert "2 files below" in caplog.text and "such as f1/ruhe.wav" in caplog.text


def test_words_for_partitions_in_names_are_understood_and_others_are_a_sentence(tmp_path):
    (tmp_path / "parts.yaml").write_text("paths: '{split}/{speaker}_{emotion}.wav'\n")
    touch(tmp_path / "x", "dev/anna_joy.wav", "TRAIN/bert_joy.wav")
    facts = entry("parts", tmp_path)
    assert {(item.speaker, item.partition) for item in read(facts, tmp_path / "x")} == {
        ("anna", "validation"),
        ("bert", "train"),
    }
    touch(tmp_path / "x", "eval/cleo_joy.wav")
    assert "parts" not in find_corpora(tmp_path, catalog=tmp_path).found, "and recognition goes on"
    with pytest.raises(ValueError, match="partition is 'eval' by its name.*translate it: `values: {partition: {eval:"):
        list(read(facts, tmp_path / "x"))


def test_helper_groups_are_parts_of_values(tmp_path):
    (tmp_path / "helper.yaml").write_text(
        "paths:\n  pattern: '{gender}_{number}_{emotion}.wav'\n  values: {speaker: '{gender}{number}'}\n"
    )
    touch(tmp_path, "F_01_joy.wav", "M_01_joy.wav")
    assert {(item.speaker, item.gender) for item in read("helper", tmp_path, catalog=tmp_path)} == {
        ("F01", "female"),
        ("M01", "male"),
    }


MISTAKES = {
    "languges: [de]": "there is no key languges. Did you mean languages?",
    "name: x\nname: y": "line 2: name is there twice; keep one of them",
    "name: [": "isn't valid YAML",
    "- a": "describes no corpus: expected keys such as id, paths and labels",
    "paths: {patern: '{emotion}.wav'}": "paths: there is no key patern. Did you mean pattern?",
    "paths: '{speaker}_{emotoin}.wav'": "emotoin is no field of a recording, and nothing else uses it. Did you",
    "paths: '(?P<emo>[A-Z]+)(?P<raw_label>x.wav'": "isn't a valid regular expression: missing )",
    "paths: '{speaker}_{emotion.wav'": "{emotion.wav isn't a placeholder such as {speaker}",
    "paths: '{speaker}.wav'": "nothing says which emotion a recording has",
    "paths: {pattern: '{emotion}.wav', values: {gender: {of: speaker, a: male}}}": "gender: the pattern has no group",
    "paths: {pattern: '{emotion}.wav', values: {speaker: 'S{spk}'}}": "values: speaker: the pattern has no group spk",
    "paths: {pattern: '{emotion}.wav', fixed: {sex: male}}": "fixed: sex is no field of a recording",
    "paths: {pattern: '{emotion}.wav', known: {emotion: '('}}": "known: raw_label: '(' isn't a valid regular",
    "paths: {pattern: '{emotion}.wav', suffixes: wav}": "suffixes: 'wav' isn't the ending of a file",
    "paths: 5": "paths is 5, expected `key: value` lines",
    "reader: by_nme": "there is no reader 'by_nme'. Did you mean by_name?",
    "reader: by_name": "reader is by_name, which needs paths",
    "labels: {A: angr}": "labels: A: the class of 'angr' isn't known. Name it: `A: {emotion: angr, class",
    "labels: {A: {emotion: glee, class: high_postive}}": "'high_postive' is no class",
    "labels: {A: {emotion: glee, arousl: high}}": "labels: A: there is no key arousl. Did you mean arousal?",
    "labels: {A: {emotion: glee, arousal: high}}": "A: arousal without valence or the reverse",
    "labels: {A: '?'}": "isn't completed. In place of ?, give the labels A an emotion such as anger, a class (",
    "columns: {lable: emo}": "columns: lable is no field that a column can fill. Did you mean label?",
    "rating_scale: [5, 1]": "rating_scale is [5, 1]; expected its lowest and highest value",
    "rating_scale: {}": "rating_scale is {}; expected its lowest and highest value",
    "sampling_rates: 16 kHz": "sampling_rates is '16 kHz', expected a list of whole numbers above 0",
    "languages: German, Swiss": "languages: 'German, Swiss' is no tag of a language, such as de or en-GB",
    "notes: [{a: b}]": "notes is [{'a': 'b'}], expected a list of texts",
    "by_annotated_valence: maybe": "by_annotated_valence is 'maybe', expected true or false",
    "speakers: 1.5": "speakers is 1.5, expected a positive number or unknown",
    "archives: {a.zip: {bytes: 5 MB, md5: 1}}": "archives: a.zip: bytes is '5 MB' and md5 1, expected a number and 32",
    "paths: {pattern: '{emotion}.wav', fewest_labels: two}": "paths: fewest_labels is 'two', expected a whole number",
    "paths: {pattern: '{emotion}.wav', variants: '{speaker}.wav'}": "variants: {speaker}.wav: nothing says which",
    "labels: {A: {emotion: [anger]}}": "labels: A: emotion is ['anger'], expected a text",
    "table: {file: [a.csv]}": "table: file is ['a.csv'], expected a text",
    "table: {file: a.csv}": "columns: there is no label, which the table needs",
    "table: {file: a.csv}\ncolumns: {file: a, label: b, duration: c}": "columns: duration isn't read from the table of",
    "table: {file: a.csv, values: {sex: {a: b}}}": "table: values: sex is no field that columns has",
    "table: {file: a.csv, values: {gender: f}}": "table: values: gender is 'f', expected `code: value` lines",
    "table: {file: a.csv, people: b.csv}": "table: people, a second table, and person, its column of speakers, are",
    "table: {file: a.csv}\nvotes: {label: '{rater}_l'}": "votes: answers of listeners are read from a manifest, not",
    "reader: by_table": "reader is by_table, which needs table",
    "labels: 5": "labels is 5, expected `label: emotion` lines",
    "releases: {v1: many}": "releases: v1 is 'many', expected a number of utterances",
    "paths: {pattern: '{emotion}.wav', fixed: {gender: [a]}}": "fixed: gender is ['a'], expected a text",
    "paths: {pattern: '{emotion}.wav', values: {gender: null}}": "values: gender is None, expected a text or `code",
    "kind: sung": "kind is 'sung', expected one of",
    "speakers: many": "speakers is 'many', expected a positive number or unknown",
    "id: my corpus": "id is 'my corpus'; use letters, digits, _ and -",
    "id: emo_db": "the package has an entry emo_db; to use this one instead, add `replaces: true`, else another id",
}


@pytest.mark.parametrize("content", MISTAKES)
def test_each_mistake_is_a_sentence_with_file_and_key_for_whoever_needs_the_entry(
    content, shelf, corpora, tmp_path, capsys
):
    (shelf / "mine.yaml").write_text(content)
    corpus = "emo_db" if content == "id: emo_db" else "my corpus" if "my corpus" in content else "mine"
    assert main(["emoset", "show", corpus, "--catalog", str(shelf)]) == 1
    printed = capsys.readouterr().err
    assert MISTAKES[content] in printed and str(shelf / "mine.yaml") in printed
    # others aren't concerned
    assert main(["emoset", "show", "plays", "--catalog", str(shelf)]) == 0
    arguments = ["emoset", "build", "--root", str(corpora), "--catalog", str(shelf), "--output", str(tmp_path / "out")]
    assert main([*arguments, "--strict"]) == 1, "a strict build of everything needs all entries"
    assert MISTAKES[content] in capsys.readouterr().err


def test_the_rates_of_an_entry_are_those_that_verify_finds(shelf, corpora, capsys):
    path = shelf / "plays.yaml"
    path.write_text(path.read_text() + "sampling_rates: [16000]\n")
    assert main(["emoset", "verify", "--root", str(corpora), "--catalog", str(shelf)]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("plays ")]
    assert "Hz" not in line


def test_the_table_of_an_entry_names_recordings_by_path_fields_by_alias_and_numbers_as_numbers(tmp_path):
    touch(tmp_path, "s1/001.wav", "s2/001.wav", "s2/002.webm", "002/x.wav")
    (tmp_path / "calls.yaml").write_text(
        "table: {file: 'turns?.txt', values: {split: {Z: test}}}\n"
        "columns: {audio: clip, emotion: heard, split: part, start: from}\nlabels: {A: anger}\n"
    )
    rows = ["s2\\001.wav,A,Z,1.5", "x/s1/001.wav,A,dev,", "002.wav,A,train,2"]
    (tmp_path / "turns1.txt").write_text("\n".join(["clip,heard,part,from", *rows]) + "\n")
    records = {
        record.file.relative_to(tmp_path).as_posix(): record for record in read("calls", tmp_path, catalog=tmp_path)
    }
    assert {name: (item.partition, item.start) for name, item in records.items()} == {
        "s1/001.wav": ("validation", None), "s2/001.wav": ("test", 1.5), "s2/002.webm": ("train", 2.0)}  # fmt: skip
    for row, message in {
        "001.wav,A,Z,": "'001.wav' may be s1/001.wav or s2/001.wav; write the path below",
        "s1/001.wav,A,Teil 2,": "partition is 'Teil 2' by the table, expected train",
        "s1/001.wav,A,Z,now": "start is 'now', expected a number",
    }.items():
        (tmp_path / "turns1.txt").write_text(f"clip,heard,part,from\n{row}\n")
        with pytest.raises(ValueError, match=f"turns1.txt: ?.*{re.escape(message)}"):
            list(read("calls", tmp_path, catalog=tmp_path))


def test_the_name_of_a_folder_decides_between_two_entries_that_it_fits(shelf, corpora):
    (shelf / "twin.yaml").write_text((shelf / "plays.yaml").read_text().replace("My Plays", "Twin"))
    sources = find_corpora(corpora, catalog=shelf)
    assert "plays" not in sources.found and "recordings have the names" in sources.reasons[corpora / "takes"]
    (corpora / "takes").rename(corpora / "Twin")
    assert find_corpora(corpora, catalog=shelf).found["twin"] == corpora / "Twin"


def test_two_files_with_one_id_are_both_set_aside(shelf, tmp_path):
    (shelf / "again.yaml").write_text("id: plays\nlabels: [anger]\n")
    with pytest.raises(CatalogError, match="the id plays is that of .*again.yaml, too"):
        entry("plays", shelf)


def test_an_entry_of_the_package_is_replaced_only_on_request(shelf, emo_db):
    (shelf / "german.yaml").write_text(
        "id: emo_db\nreplaces: true\npaths: '{speaker:2}{text:3}{emotion:1}{take:1}.wav'\nlabels: {W: anger}\n"
    )
    assert entry("emo_db", shelf).class_of("F") is None and entry("emo_db").class_of("F") == "high_positive"
    (first, *_) = read("emo_db", emo_db, catalog=shelf)
    assert (first.speaker, first.text, first.raw_label, first.take) == ("03", "a01", "A", "a")


def test_keys_and_codes_are_the_texts_that_are_written(tmp_path):
    (tmp_path / "codes.yaml").write_text(
        "languages: [no]\npaths:\n  pattern: '{emotion}-{take}.wav'\n  values: {take: {01: no, 1: yes, null: 1:30}}\n"
        "labels: {no: anger, 01: joy, null: sadness, N: low_neutral}\n"
    )
    facts = entry("codes", tmp_path)
    assert facts.languages == ["no"] and list(facts.labels) == ["no", "01", "null", "N"]
    touch(tmp_path, "no-01.wav", "01-1.wav", "null-null.wav")
    assert {(item.raw_label, item.take) for item in read(facts, tmp_path)} == {
        ("no", "no"),
        ("01", "yes"),
        ("null", "1:30"),
    }


def test_the_shipped_entries_hold_no_path_of_a_machine():
    assert not any(facts.file for facts in catalog().values())
    assert str(Path.home()) not in repr(dict(catalog()))


def test_a_table_is_never_read_without_what_a_wrong_entry_says_of_it(shelf, tmp_path, capsys):
    (shelf / "calls.yaml").write_text("votes: a1_A\nlabels: {0: anger, 1: joy}\n")
    for number, name in enumerate(("calls", "others")):
        rows = ["file,label,speaker"]
        for index in range(3):
            write_tone(tmp_path / f"corpora/{name}/{index}.wav", frequency=100 + 50 * index + 7 * number)
            rows.append(f"{index}.wav,anger,s{index}")
        (tmp_path / f"corpora/{name}/manifest.csv").write_text("\n".join(rows))
    command = ["emoset", "build", "--catalog", str(shelf), "--output", str(tmp_path / "out")]
    assert main([*command, "--corpus", f"calls={tmp_path / 'corpora/calls'}"]) == 1
    assert "calls.yaml: votes is 'a1_A', expected `key: value` lines" in capsys.readouterr().err
    assert main([*command, "--root", str(tmp_path / "corpora")]) == 0
    printed = capsys.readouterr().out
    assert "others: 3 utterances" in printed and "calls: has a manifest, but its entry has a mistake" in printed
