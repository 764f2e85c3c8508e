"""A folder is a corpus by its recordings' names, speakers and labels: real listings are, everything like them isn't."""

import csv
import json
import re
from itertools import product

import pytest

from exhubert.emoset import catalog
from exhubert.emoset.readers import matches, recognise

from ..conftest import SHARED_CORPORA
from .conftest import touch

EXAMPLES = SHARED_CORPORA.parent / "emoset" / "examples.tsv"
MELD_TABLES = {"train_splits": "train", "output_repeated_splits_test": "test"}


def annotate(root, corpus, rows):
    """Writes the annotation files that come with a corpus whose names tell no labels."""
    if corpus == "iemocap":
        for row in rows:
            session, _, _, dialogue, turn = row["relative_path"].removesuffix(".wav").split("/")
            path = root / session / "dialog" / "EmoEvaluation" / f"{dialogue}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a") as stream:
                stream.write(f"[1.0 - 2.0]\t{turn}\t{row['raw_label']}\t[2.5, 2.5, 2.5]\n")
    if corpus == "meld":
        for folder, name in MELD_TABLES.items():
            lines = ["Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID"]
            for row in rows:
                if folder in row["relative_path"]:
                    dialogue, number = row["relative_path"].split("/")[-1].removesuffix(".mp4").split("_")
                    cells = ["hello", row["speaker"], row["raw_label"], "neutral", dialogue[3:], number[3:]]
                    lines.append(",".join(cells))
            (root / f"{name}_sent_emo.csv").write_text("\n".join(lines) + "\n")


@pytest.mark.skipif(not EXAMPLES.is_file(), reason="the list of real paths is not on this machine")
def test_every_real_listing_is_recognised_as_itself_and_no_other(tmp_path):
    with EXAMPLES.open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    corpora = sorted({row["corpus"] for row in rows})
    assert len(corpora) == 17
    for corpus in corpora:
        own = [row for row in rows if row["corpus"] == corpus]
        touch(tmp_path / corpus, *(row["relative_path"] for row in own))
        annotate(tmp_path / corpus, corpus, own)
        assert [match.corpus for match in matches(tmp_path / corpus) if match.fits] == [corpus]
        assert recognise(tmp_path / corpus) == corpus
    assert recognise(tmp_path) is None, "all of them together are no corpus"


@pytest.mark.skipif(not SHARED_CORPORA.is_dir(), reason="the real corpora are not on this machine")
@pytest.mark.parametrize("corpus", ["emo_db", "urdu"])
def test_real_corpora_are_recognised_as_whole(corpus):
    (match,) = [match for match in matches(SHARED_CORPORA / corpus) if match.fits]
    assert match.corpus == corpus and match.whole and match.fitting == match.total


PUBLISHED = {
    "casia": [
        f"{speaker}/{emotion}/{number}.wav"
        for speaker, emotion, number in product(
            ("liuchanhg", "wangzhe", "zhaoquanyin", "ZhaoZuoxiang"), ("angry", "sad"), range(201, 251)
        )
    ],
    "crema_d": [  # three formats of each utterance
        f"{folder}/{speaker}_{text}_{emotion}_XX.{ending}"
        for (folder, ending), speaker, text, emotion in product(
            [("AudioWAV", "wav"), ("AudioMP3", "mp3"), ("VideoFlash", "flv")],
            (1001, 1091),
            ("IEO", "WSI"),
            ("ANG", "NEU"),
        )
    ],
    "emo_db": [f"wav/{speaker}b10{emotion}a.wav" for speaker, emotion in product(("03", "16"), "WLEAFTN")]
    + [f"laryngo/03b10{emotion}a.wav" for emotion in "WLEAFTN"],
    "emotiw_2014": ["Train_AFEW/Angry/000046280.avi", "Val_AFEW/Sad/005150814.avi", "Val_AFEW/Sad/005150815.avi"]
    + [f"Test_AFEW/{number:09d}.avi" for number in range(9)],
    "eu_ev": [
        f"EU Emotion - UK Voices/{folder}/{emotion}/{number}.mp3"
        for folder, emotion, number in product(
            ("Original", "Fixed - amplified volume"),
            [
                "Afraid",
                "Angry",
                "Bored",
                "Excited",
                "Happy",
                "Hurt",
                "Jealous",
                "Kind",
                "Proud",
                "Sad",
                "Sneaky",
                "Worried",
            ],
            range(3),
        )
    ],
    "ravdess": [  # speech beside songs and videos
        f"{kind}-0{emotion}-01-01-01-{actor:02d}.{ending}"
        for (kind, ending), emotion, actor in product(
            [("03-01", "wav"), ("03-02", "wav"), ("01-01", "mp4")], range(1, 7), range(1, 25)
        )
    ],
    "tess": [  # the whole set twice
        f"{folder}/{speaker}_{word}_{emotion}.wav"
        for folder, speaker, word, emotion in product(
            ("a", "a/b"), ("OAF", "YAF"), ("back", "bar"), ("angry", "disgust", "ps")
        )
    ],
}


@pytest.mark.parametrize("corpus", sorted(PUBLISHED))
def test_copies_with_all_that_publishers_add_are_recognised(corpus, tmp_path):
    touch(tmp_path, *PUBLISHED[corpus], "readme.txt", ".hidden/x.wav")
    (tmp_path / ".hidden/x.wav").unlink()
    assert recognise(tmp_path) == corpus


STRANGERS = {
    # Oréau: the pattern of EMO-DB, with speakers 01 to 32 and French letters of emotions
    "Oréau": [
        f"{speaker:02d}a0{text}{emotion}a.wav" for speaker, text, emotion in product(range(1, 33), (1, 2), "CTJPDSN")
    ],
    "CaFE": [f"Colère/Fort/{actor:02d}-X-2-{sentence}.wav" for actor, sentence in product(range(1, 13), range(1, 7))],
    "BanglaSER": [  # the fields of RAVDESS with other emotions, texts and actors
        f"03-01-{emotion:02d}-01-{text:02d}-{take:02d}-{actor:02d}.wav"
        for emotion, text, take, actor in product(range(1, 6), range(1, 4), range(1, 4), range(1, 35))
    ],
    "podcast in other formats": [f"episode {number}.mp3" for number in range(50)] + ["03a01Fa.wav"],
    "podcast": [f"{number:03d}.wav" for number in range(50)] + ["03a01Fa.wav", "08a01Wa.wav", "16b10Na.wav"],
    "numbers in emotions": [
        f"{part}/{emotion}/{number}.wav"
        for part, emotion, number in product(("train", "test"), ("angry", "happy", "sad"), range(1, 30))
    ],
    "voices": [f"Original/{emotion}/{number}.mp3" for emotion, number in product(("Angry", "Happy"), range(20))],
    "one": ["03a01Fa.wav"],
    "songs": [f"03-02-0{emotion}-01-01-01-{actor:02d}.wav" for emotion, actor in product(range(1, 7), range(1, 20))],
    "dates": [f"20-01-0{day}-01-01-01-{hour:02d}.wav" for day, hour in product(range(1, 9), range(24))],
    "calls": [f"{number}_ABC_DEF_XX.wav" for number in range(2000, 2100)],
    "guests": [f"M{number}A0{take}.wav" for number, take in product(range(60, 99), range(1, 4))],
    "far too many": [
        f"{folder}/{speaker}a0{text}{emotion}a.wav"
        for folder, speaker, text, emotion in product(range(60), ("03", "08", "16"), (1, 2), "WLEAFTN")
    ],
    "two corpora": [f"{speaker}a01{emotion}a.wav" for speaker, emotion in product(("03", "08"), "WLEAFTN")]
    + [f"Angry/SM{number}_F1_A01.wav" for number in range(1, 15)],
    "empty": [],
}


@pytest.mark.parametrize("kind", sorted(STRANGERS))
def test_what_only_looks_like_a_corpus_is_none(kind, tmp_path):
    touch(tmp_path, "notes.txt", *STRANGERS[kind])
    assert recognise(tmp_path) is None


def test_what_a_publisher_adds_is_no_stranger_in_another_container(tmp_path):
    touch(tmp_path, *(name.replace(".mp3", ".flac") for name in PUBLISHED["eu_ev"]))
    assert recognise(tmp_path) == "eu_ev"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("train_sent_emo.csv", "text,label\nhello,joy\n"),
        ("modified_shemo.json", "[1, 2]"),
        ("chunk_labels_5cl_corpus.txt", "\n"),
        ("S1/dialog/EmoEvaluation/a.txt", "[1.0 - 2.0]\tturn\tneu\t[2.5, 2.5, 2.5]\n"),
    ],
)
def test_files_with_the_names_of_annotations_and_other_contents_are_passed_over(tmp_path, name, content):
    touch(tmp_path, *(f"{number}.wav" for number in range(5)), name)
    (tmp_path / name).write_text(content)
    assert recognise(tmp_path) is None


def test_a_part_of_a_corpus_is_recognised_and_says_how_large_it_is(tmp_path):
    names = [
        f"{speaker}a0{text}{emotion}a.wav" for speaker, text, emotion in product(("03", "08"), (1, 2, 4), "WLEAFTN")
    ]
    touch(tmp_path, *names[:40])
    (match,) = matches(tmp_path)
    assert match.fits and not match.whole
    assert str(match) == "40 of 40 recordings have the names, speakers and labels of EMO-DB; 40 of its 535 utterances"
    touch(tmp_path, *(f"{number}.wav" for number in range(5)))
    assert recognise(tmp_path) is None, "40 of 45 are less than nine in ten"


@pytest.mark.parametrize("modified", [False, True])
def test_both_releases_of_shemo_are_whole_with_three_thousand_recordings(modified, tmp_path):
    speakers = [f"F{number:02d}" for number in range(1, 32)] + [f"M{number:02d}" for number in range(1, 57)]
    names = []
    for label, count in {"A": 1059, "N": 1028, "S": 449, "W": 225, "H": 201, "F": 38}.items():
        names += [f"{speakers[number % 87]}{label}{number // 87 + 1:02d}.wav" for number in range(count)]
    touch(tmp_path, *(f"shemo/{name}" for name in names))
    if modified:
        (tmp_path / "modified_shemo.json").write_text(json.dumps({name: {"emotion": "anger"} for name in names}))
    (match,) = [match for match in matches(tmp_path) if match.fits]
    assert (match.corpus, match.utterances, match.whole) == ("shemo", 3000, True)
    assert str(match).endswith("3000 of its 3000 utterances")


def test_groups_that_a_layout_names_are_in_each_of_its_patterns():
    for corpus, facts in catalog().items():
        if facts.paths:
            named = {*facts.paths.known, *facts.paths.same, "raw_label"}
            for pattern in (facts.paths.pattern, *facts.paths.variants):
                assert named <= re.compile(pattern).groupindex.keys(), (corpus, pattern)
