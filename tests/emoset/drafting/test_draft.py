"""`exhubert emoset new` finds the emotion and the speaker in the names of recordings, and drafts a YAML file."""

import csv
import re
from itertools import product

import pytest

from exhubert.cli.main import main
from exhubert.emoset import build, entry, load, read
from exhubert.emoset.catalog import CatalogError
from exhubert.emoset.catalog.layouts import compiled
from exhubert.emoset.drafting.draft import draft

from ...conftest import SHARED_CORPORA, write_tone
from ..conftest import manifest, touch

EXAMPLES = SHARED_CORPORA.parent / "emoset" / "examples.tsv"
ITALIAN = ["neu", "dis", "gio", "pau", "rab", "sor", "tri"]
WORDS = [f"{first}{second}ck" for first, second in product("bdfghlmnprst", "aeiou")]
SPEAKERS = [f"F_{number:02d}_{name}" for number, name in enumerate(("OISHI", "MONIKA", "NIPA", "RITU"), 1)]
SPEAKERS += [f"M_{number:02d}_{name}" for number, name in enumerate(("HASAN", "RASEL", "REZA", "SHUVO"), 1)]
# Published layouts: names, then the pattern that says which part is what, and an example of what it gives.
LAYOUTS = {
    "ravdess": (
        [
            f"Actor_{actor:02d}/03-01-{emotion:02d}-{level:02d}-{text:02d}-{take:02d}-{actor:02d}.wav"
            for actor, emotion, level, text, take in product(range(1, 25), range(1, 9), (1, 2), (1, 2), (1, 2))
            if (emotion, level) != (1, 2)
        ],
        "Actor_07/03-01-05-02-01-02-07.wav",
        {"speaker": "07", "raw_label": "05"},
    ),
    "crema_d": (
        [
            f"AudioWAV/{actor}_{text}_{emotion}_{level}.wav"
            for actor, text, emotion in product(
                range(1001, 1031), ("IEO", "TIE", "IOM", "IWW"), ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")
            )
            for level in (("LO", "MD", "HI") if text == "IEO" and emotion != "NEU" else ("XX",))
        ],
        "1007_IEO_ANG_HI.wav",
        {"speaker": "1007", "raw_label": "ANG", "text": "IEO", "intensity": "HI"},
    ),
    "savee": (
        [
            f"AudioData/{speaker}/{emotion}{text:02d}.wav"
            for speaker, emotion in product(("DC", "JE", "JK", "KL"), ("a", "d", "f", "h", "n", "sa", "su"))
            for text in range(1, 31 if emotion == "n" else 16)
        ],
        "JK/sa09.wav",
        {"speaker": "JK", "raw_label": "sa", "text": "09"},
    ),
    "tess": (
        [
            f"{speaker}_{emotion.title()}/{speaker}_{word}_{emotion}.wav"
            for speaker, word, emotion in product(
                ("OAF", "YAF"), WORDS, ("angry", "disgust", "fear", "happy", "neutral", "ps", "sad")
            )
        ],
        "OAF_back_ps.wav",
        {"speaker": "OAF", "raw_label": "ps", "text": "back"},
    ),
    "esd": (
        [
            f"Emotion Speech Dataset/{speaker:04d}/{emotion}/{speaker:04d}_{20 * index + number:06d}.wav"
            for speaker, (index, emotion), number in product(
                range(1, 21), enumerate(("Neutral", "Angry", "Happy", "Sad", "Surprise")), range(1, 21)
            )
        ],
        "0011/Sad/0011_000070.wav",
        {"speaker": "0011", "raw_label": "Sad", "text": "000070"},
    ),
    "emovo": (
        [
            f"EMOVO/{speaker}/{emotion}-{speaker}-{text}.wav"
            for speaker, emotion, text in product(
                ("f1", "f2", "f3", "m1", "m2", "m3"), ITALIAN, ("b1", "b2", "l1", "l2", "n1", "n2", "d1")
            )
        ],
        "rab-f1-b2.wav",
        {"speaker": "f1", "raw_label": "rab", "text": "b2"},
    ),
    "subesco": (
        [
            f"{speaker}_S_{text}_{emotion}_{take}.wav"
            for speaker, text, emotion, take in product(
                SPEAKERS, range(1, 11), ["ANGRY", "DISGUST", "FEAR", "HAPPY", "NEUTRAL", "SAD", "SURPRISE"], (1, 2)
            )
        ],
        "F_01_OISHI_S_10_ANGRY_2.wav",
        {"speaker": "OISHI", "gender": "F", "raw_label": "ANGRY", "text": "10", "take": "2"},
    ),
    "shemo": (
        [
            f"{'female' if speaker[0] == 'F' else 'male'}/{speaker}{emotion}{number:02d}.wav"
            for speaker, (emotion, count) in product(
                [f"{letter}{number:02d}" for letter, number in product("FM", range(1, 21))],
                zip("ANSWHF", (12, 12, 5, 3, 2, 1), strict=True),
            )
            for number in range(1, count + 1)
        ],
        "male/M07A11.wav",
        {"speaker": "M07", "raw_label": "A", "gender": "male"},
    ),
    "casia": (
        [
            f"{speaker}/{emotion}/{number}.wav"
            for speaker, emotion, number in product(
                ("liuchanhg", "wangzhe", "zhaoquanyin", "ZhaoZuoxiang"),
                ("angry", "fear", "happy", "neutral", "sad", "surprise"),
                range(201, 231),
            )
        ],
        "wangzhe/sad/210.wav",
        {"speaker": "wangzhe", "raw_label": "sad", "text": "210"},
    ),
    "words before numbers": (
        [f"spk_{speaker}_utt_{text}_emo_{emotion}.flac" for speaker, text, emotion in product(*map(range, (12, 5, 6)))],
        "spk_11_utt_2_emo_5.flac",
        {"speaker": "11", "raw_label": "5", "text": "2"},
    ),
    "initials with a number": (
        [
            f"{speaker}_{emotion}_{number}.wav"
            for speaker, emotion, number in product(
                ("SB0", "KJ0", "PK1"), ("anger", "fear", "happiness", "sadness", "neutral"), range(4)
            )
        ],
        "KJ0_fear_3.wav",
        {"speaker": "KJ0", "raw_label": "fear", "text": "3"},
    ),
    "partitions in German": (
        [
            f"{part}/{emotion}/{number}.wav"
            for part, emotion, number in product(("train", "dev"), ("wütend", "fröhlich", "traurig"), range(20))
        ],
        "dev/wütend/3.wav",
        {"partition": "dev", "raw_label": "wütend", "text": "3"},
    ),
}


def pattern_of(text):
    return re.search(r'^  pattern: "(.*)"$', text, re.MULTILINE)[1]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_emotion_and_speaker_of_published_layouts_are_found(layout, tmp_path):
    names, example, expected = LAYOUTS[layout]
    touch(tmp_path / "corpus", *names)
    result = draft(tmp_path / "corpus", "mine")
    groups = compiled(pattern_of(result.text)).fullmatch(example).groupdict()
    assert groups | expected == groups
    assert f"{len(names)} of {len(names)} recordings have this pattern" in result.text
    assert ("speaker" in groups) == ("speaker" in expected), "nothing is called a speaker without a reason"


@pytest.mark.skipif(not EXAMPLES.is_file(), reason="the names of real corpora are not on this machine")
@pytest.mark.parametrize("corpus", ["casia", "emo_db", "emovo", "esd", "ravdess", "shemo", "tess", "urdu"])
def test_ten_real_names_are_enough_where_they_repeat_speakers(corpus, tmp_path):
    with EXAMPLES.open(encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream, delimiter="\t") if row["corpus"] == corpus]
    touch(tmp_path / "corpus", *(row["relative_path"] for row in rows))
    pattern = compiled(pattern_of(draft(tmp_path / "corpus", "mine").text))
    found = [pattern.fullmatch(row["relative_path"]).groupdict() for row in rows]
    for field in ("speaker", "raw_label"):
        assert len({(item[field], row[field]) for item, row in zip(found, rows, strict=True)}) == len(
            {row[field] for row in rows}
        ), field


@pytest.mark.skipif(not SHARED_CORPORA.is_dir(), reason="the real corpora are not on this machine")
def test_the_draft_of_emo_db_is_refused_until_its_labels_are_completed_and_then_builds(tmp_path, capsys):
    command = ["emoset", "new", str(SHARED_CORPORA / "emo_db"), "--output", str(tmp_path / "shelf/german.yaml")]
    assert main([*command, "--id", "german"]) == 0
    assert "These are the names of EMO-DB, which the catalog has already" in capsys.readouterr().out
    path = tmp_path / "shelf/german.yaml"
    build_it = ["emoset", "build", "--corpus", f"german={SHARED_CORPORA / 'emo_db'}", "--output", str(tmp_path / "out")]
    assert main([*build_it, "--catalog", str(path)]) == 1
    assert "isn't completed. In place of ?, give the labels W, L, N, F, A, T, E an emotion" in capsys.readouterr().err
    text = path.read_text()
    words = {"W": "anger", "L": "boredom", "N": "neutral", "F": "joy", "A": "fear", "T": "sadness", "E": "disgust"}
    for letter, word in words.items():
        text = text.replace(f'  {letter}: "?"', f"  {letter}: {word}")
    path.write_text(text)
    known = {record.path: record for record in read("emo_db", SHARED_CORPORA / "emo_db")}
    facts = entry("german", path)
    texts = set()
    for record in read(facts, SHARED_CORPORA / "emo_db"):
        same = known[record.path]
        texts.add((record.text, same.text))
        assert (record.speaker, record.raw_label) == (same.speaker, same.raw_label)
        assert facts.class_of(record.raw_label) == entry("emo_db").class_of(same.raw_label)
    assert facts.utterances == 535 and facts.speakers == 10 and len(texts) == 10


@pytest.mark.skipif(not SHARED_CORPORA.is_dir(), reason="the real corpora are not on this machine")
def test_the_draft_of_urdu_needs_no_completion(tmp_path):
    (tmp_path / "urdu2.yaml").write_text(draft(SHARED_CORPORA / "urdu", "urdu2").text)
    facts = entry("urdu2", tmp_path)
    known = {record.path: record for record in read("urdu", SHARED_CORPORA / "urdu")}
    records = list(read(facts, SHARED_CORPORA / "urdu"))
    assert len(records) == 400
    for record in records:
        same = known[record.path]
        assert (record.speaker, record.gender) == (same.speaker, same.gender)
        assert facts.class_of(record.raw_label) == entry("urdu").class_of(same.raw_label)


@pytest.fixture
def takes(tmp_path):
    for index, (speaker, label, take) in enumerate(product(("anna", "bert", "cleo"), ("joy", "anger"), "12")):
        write_tone(tmp_path / "takes" / f"{speaker}-{label}-{take}.wav", frequency=100 + 30 * index)
    (tmp_path / "takes/noise.wav").touch()
    return tmp_path / "takes"


def test_a_draft_of_known_words_builds_as_it_is_and_names_what_has_another_form(takes, tmp_path, capsys):
    assert main(["emoset", "new", str(takes), "--output", str(tmp_path / "takes.yaml")]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"^name, part 1 +3 +4 +anna bert cleo +.*speaker +", printed, re.MULTILINE)
    text = (tmp_path / "takes.yaml").read_text()
    assert "# 1 have not, such as noise.wav" in text and "joy: joy  # 6 recordings, high_positive" in text
    build({"takes": takes}, tmp_path / "out", catalog=tmp_path / "takes.yaml")
    rows = [row for part in load(tmp_path / "out").values() for row in part]
    assert {(row["speaker"], row["raw_label"]) for row in rows} == {
        (f"takes/{speaker}", label) for speaker, label in product(("anna", "bert", "cleo"), ("joy", "anger"))
    }


def test_a_draft_never_replaces_a_file_and_is_printed_without_one(takes, tmp_path, capsys):
    (tmp_path / "mine.yaml").write_text("id: mine\n")
    assert main(["emoset", "new", str(takes), "--output", str(tmp_path / "mine.yaml")]) == 1
    assert "exists and wasn't written by this command" in capsys.readouterr().err
    assert (tmp_path / "mine.yaml").read_text() == "id: mine\n"
    assert main(["emoset", "new", str(takes), "--output", str(tmp_path / "draft.yaml")]) == 0
    assert main(["emoset", "new", str(takes), "--output", str(tmp_path / "draft.yaml")]) == 1, "may be completed by now"
    capsys.readouterr()
    assert main(["emoset", "new", str(takes)]) == 0
    assert capsys.readouterr().out.endswith((tmp_path / "draft.yaml").read_text())


def test_names_without_emotions_say_so_and_the_draft_is_refused(tmp_path):
    touch(tmp_path / "calls", *(f"{number:04d}.wav" for number in range(30)))
    text = draft(tmp_path / "calls").text
    assert "no part looks like an emotion: name it in the pattern" in text and "no part looks like a speaker" in text
    (tmp_path / "calls.yaml").write_text(text)
    with pytest.raises(CatalogError, match="nothing says which emotion a recording has"):
        entry("calls", tmp_path)


def test_a_folder_with_a_table_gets_labels_from_it_and_one_that_is_not_understood_a_map(tmp_path):
    root = manifest(tmp_path / "table", ["file,label,speaker", "a.wav,joy,x", "b.wav,zork,y", "c.wav,zork,y"])
    text = draft(root).text
    assert 'zork: "?"  # 2 recordings' in text and "joy: joy  # 1 recordings, high_positive" in text
    assert "utterances: 3" in text and "speakers: 2  # guess" in text and "pattern" not in text
    rows = [f"{number}.wav,{('joy', 'anger')[number % 2]},p{number // 4},hello" for number in range(12)]
    root = manifest(tmp_path / "strange", ["clip_ref,affect,who,note", *rows])
    strange = draft(root)
    assert "columns: {file: clip_ref, label: affect, speaker: who}" in strange.text
    assert "found clip_ref, affect, who" in " ".join(strange.remarks)
    (tmp_path / "strange.yaml").write_text(strange.text)
    facts = entry("strange", tmp_path / "strange.yaml")
    assert {(item.speaker, item.raw_label) for item in read(facts, root)} == set(
        product(["p0", "p1", "p2"], ("joy", "anger"))
    )


def test_a_folder_that_is_no_corpus_and_an_id_that_is_taken_are_sentences(takes, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    for arguments, message in (
        ([str(tmp_path / "empty")], "holds no recording: give the folder of a corpus"),
        ([str(tmp_path / "nowhere")], "There is no folder"),
        ([str(takes), "--id", "emo_db"], "--id emo_db: the catalog has this corpus; choose another id"),
        ([str(takes), "--id", "my takes"], "--id my takes: use letters, digits, _ and -"),
    ):
        assert main(["emoset", "new", *arguments]) == 1
        assert message in capsys.readouterr().err
