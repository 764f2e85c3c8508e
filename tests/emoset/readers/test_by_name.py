"""Corpora in other containers than their publisher's, and the facts that their names hold."""

import json
from collections import Counter
from collections.abc import Mapping

import pytest

from exhubert.emoset import build, catalog, entry, load, read
from exhubert.emoset.readers import matches, recognise
from exhubert.emoset.sources import find_corpora

from ...conftest import write_tone, write_video
from ..conftest import touch

# One copy of a corpus in another container or folder, with label and speaker of each recording.
COPIES = {
    ("casia", "train/<emotion>"): {
        "train/angry/201-angry-liuchanhg.wav": ("angry", "liuchanhg"),
        "test/sad/250-sad-ZhaoZuoxiang.wav": ("sad", "ZhaoZuoxiang"),
        "train/surprise/203-surprise-wangzhe.wav": ("surprise", "wangzhe"),
    },
    ("crema_d", "AudioMP3 alone"): {
        "AudioMP3/1001_DFA_ANG_XX.mp3": ("ANG", "1001"),
        "AudioMP3/1091_IEO_HAP_HI.mp3": ("HAP", "1091"),
        "AudioMP3/1040_ITH_SAD_X.mp3": ("SAD", "1040"),
    },
    ("crema_d", "VideoFlash alone"): {
        "VideoFlash/1001_DFA_ANG_XX.flv": ("ANG", "1001"),
        "VideoFlash/1002_DFA_ANG_XX.flv": ("ANG", "1002"),
        "VideoFlash/1003_DFA_NEU_XX.flv": ("NEU", "1003"),
    },
    ("demos", "flac"): {
        "DEMOS/NP_m_13_rab02b.flac": ("rab", "13"),
        "NEU/m_68_neu05b.flac": ("neu", "68"),
        "DEMOS/PR_f_01_gio01a.flac": ("gio", "01"),
    },
    ("emo_db", "flac"): {
        "flac/03a01Fa.flac": ("F", "03"),
        "flac/16b10Lb.flac": ("L", "16"),
        "flac/08a05Ta.FLAC": ("T", "08"),
    },
    ("emo_db", "ogg, without folder"): {
        "03a01Fa.ogg": ("F", "03"),
        "16b10Lb.ogg": ("L", "16"),
        "08a05Ta.opus": ("T", "08"),
    },
    ("emovo", "m4a"): {
        "f1/dis-f1-b1.m4a": ("dis", "f1"),
        "m3/gio-m3-d2.m4a": ("gio", "m3"),
        "m3/neu-m3-d2.m4a": ("neu", "m3"),
    },
    ("enterface", "wav"): {
        "subject 1/anger/sentence 1/s1_an_1.wav": ("an", "subject 1"),
        "subject 11/disgust/sentence 2/s12_di_2.wav": ("di", "subject 11"),
        "subject_06/surprise/s6_su.wav": ("su", "subject 6"),
    },
    ("enterface", "wav, without folders"): {
        "wav/s1_an_1.wav": ("an", "subject 1"),
        "wav/s_3_su_1.wav": ("su", "subject 3"),
        "wav/s16_su_3avi.wav": ("su", "subject 16"),
    },
    ("esd", "by language"): {
        "English/Angry/train/0011_000351.wav": ("Angry", "0011"),
        "English/Sad/test/0013_001081.wav": ("Sad", "0013"),
        "Chinese/Happy/evaluation/0001_000701.wav": ("Happy", "0001"),
    },
    ("ravdess", "video"): {
        "Video_Speech_Actor_01/Actor_01/01-01-05-02-01-01-01.mp4": ("Angry", "Actor_01"),
        "Video_Speech_Actor_02/Actor_02/01-01-03-01-02-02-02.mp4": ("Happy", "Actor_02"),
        "Video_Speech_Actor_02/Actor_02/01-01-01-01-02-02-02.mp4": ("Neutral", "Actor_02"),
    },
    ("savee", "video"): {
        "AudioVisualClip/DC/a1.avi": ("a", "DC"),
        "AudioVisualClip/KL/n30.avi": ("n", "KL"),
        "AudioVisualClip/JK/su7.mp4": ("su", "JK"),
    },
    ("subesco", "opus"): {
        "F_02_MONIKA_S_2_SURPRISE_3].opus": ("SURPRISE", "F_02_MONIKA"),
        "M_02_RASHED_S_2_SAD_3.opus": ("SAD", "M_02_RASHED"),
        "M_02_RASHED_S_10_SAD_3.opus": ("SAD", "M_02_RASHED"),
    },
    ("tess", "mp3"): {
        "TESS Toronto emotional speech set data/OAF_angry/OAF_back_angry.mp3": ("angry", "OAF"),
        "TESS Toronto emotional speech set data/YAF_pleasant_surprised/YAF_bar_ps.mp3": ("ps", "YAF"),
        "TESS Toronto emotional speech set data/YAF_sad/YAF_bar_sad.mp3": ("sad", "YAF"),
    },
    ("urdu", "flac, without folders"): {
        "SM1_F10_A010.flac": ("A", "SM1"),
        "SF7_F2_S02.flac": ("S", "SF7"),
        "SF7_F3_S03.flac": ("S", "SF7"),
    },
}


def below(root, records):
    return {record.file.relative_to(root).as_posix(): record for record in records}


@pytest.mark.parametrize("copy", sorted(COPIES), ids=" as ".join)
def test_copies_in_other_containers_and_folders_are_read_and_recognised(copy, tmp_path):
    touch(tmp_path, *COPIES[copy], "readme.txt")
    found = below(tmp_path, read(copy[0], tmp_path))
    assert {path: (record.raw_label, record.speaker) for path, record in found.items()} == COPIES[copy]
    assert [match.corpus for match in matches(tmp_path) if match.fits] == [copy[0]] and recognise(tmp_path) == copy[0]


# What several containers of a corpus hold, and which is read.
SEVERAL = {
    "crema_d": (
        ["AudioMP3/1001_DFA_ANG_XX.mp3", "AudioWAV/1001_DFA_ANG_XX.wav", "VideoFlash/1001_DFA_ANG_XX.flv"],
        "AudioWAV/1001_DFA_ANG_XX.wav",
        "Read: .wav; left out: 1 .flv, 1 .mp3",
    ),
    "emo_db": (["mp3/03a01Fa.mp3", "wav/03a01Fa.wav"], "wav/03a01Fa.wav", "left out: 1 .mp3"),
    "enterface": (
        ["subject 1/anger/sentence 1/s1_an_1.avi", "wav/subject 1/anger/s1_an_1.wav"],
        "wav/subject 1/anger/s1_an_1.wav",
        "left out: 1 .avi",
    ),
    "esd": (
        ["0001/Angry/train/0001_000351.wav", "opus/0001/Angry/0001_000351.opus"],
        "0001/Angry/train/0001_000351.wav",
        "left out: 1 .opus",
    ),
    "eu_ev": (["Original/Afraid/a1.mp3", "Original/Afraid/a1.ogg"], "Original/Afraid/a1.mp3", "left out: 1 .ogg"),
    "ravdess": (
        ["Actor_01/01-01-05-02-01-01-01.mp4", "Actor_01/02-01-05-02-01-01-01.mp4", "a/03-01-05-02-01-01-01.wav"],
        "a/03-01-05-02-01-01-01.wav",
        "left out: 1 .mp4",
    ),
    "savee": (["AudioData/DC/a01.wav", "AudioVisualClip/DC/a1.avi"], "AudioData/DC/a01.wav", "left out: 1 .avi"),
}


@pytest.mark.parametrize("corpus", sorted(SEVERAL))
def test_of_several_containers_one_is_read_and_the_others_are_named(corpus, tmp_path, caplog):
    names, best, sentence = SEVERAL[corpus]
    touch(tmp_path, *names)
    assert set(below(tmp_path, read(corpus, tmp_path))) == {best}
    assert "utterances are there in several containers" in caplog.text and sentence in caplog.text
    assert {match.corpus: match.utterances for match in matches(tmp_path)}[corpus] == 1


def test_an_utterance_that_only_one_container_holds_is_read_from_it(tmp_path):
    touch(tmp_path, "AudioWAV/1001_DFA_ANG_XX.wav", "AudioMP3/1001_DFA_ANG_XX.mp3", "AudioMP3/1002_DFA_ANG_XX.mp3")
    assert set(below(tmp_path, read("crema_d", tmp_path))) == {
        "AudioMP3/1002_DFA_ANG_XX.mp3",
        "AudioWAV/1001_DFA_ANG_XX.wav",
    }


def test_a_folder_for_each_container_is_one_corpus(tmp_path):
    for speaker in range(1001, 1006):
        for label in ("ANG", "NEU", "SAD"):
            for folder, suffix in (("AudioWAV", "wav"), ("AudioMP3", "mp3"), ("VideoFlash", "flv")):
                touch(tmp_path / "CREMA-D", f"{folder}/{speaker}_DFA_{label}_XX.{suffix}")
    for place in (tmp_path, tmp_path / "CREMA-D"):
        assert find_corpora(place).found == {"crema_d": tmp_path / "CREMA-D"}


def test_video_stands_for_audio_only_where_publishers_ship_video(tmp_path):
    touch(tmp_path, "Original/Afraid/a1.mov", "Original/Angry/a1.mov", "Original/Happy/a1.mp3")
    assert set(below(tmp_path, read("eu_ev", tmp_path))) == {"Original/Happy/a1.mp3"}


def test_flac_and_video_copies_are_built_with_their_sound(tmp_path):
    pytest.importorskip("av")
    for index, speaker in enumerate(("03", "08", "09", "10", "11")):
        for pitch, emotion in enumerate("WFN"):
            name = tmp_path / "corpora" / "emo_db" / f"{speaker}a01{emotion}a.flac"
            write_tone(name, frequency=150.0 + 10 * index + 40 * pitch)
    for index, speaker in enumerate(("DC", "JE", "JK", "KL")):
        for pitch, label in enumerate(("a", "h", "n")):
            path = tmp_path / "corpora" / "savee" / "AudioVisualClip" / speaker / f"{label}1.avi"
            write_video(path, frequency=200.0 + 30 * index + 7 * pitch)
    found = find_corpora(tmp_path / "corpora").found
    build(found, tmp_path / "data", strict=True)
    rows = [row for part in load(tmp_path / "data").values() for row in part]
    assert Counter(row["corpus"] for row in rows) == {"emo_db": 15, "savee": 12}
    assert {round(row["duration"], 2) for row in rows} == {0.5}


# Facts beside label and speaker, by corpus and name.
FACTS = {
    ("casia", "wangzhe/angry/201.wav"): {"text": "201"},
    ("crema_d", "AudioWAV/1001_IEO_ANG_MD.wav"): {
        "text": "It's eleven o'clock",
        "intensity": "medium",
        "gender": "male",
        "age": "51",
    },
    ("crema_d", "AudioWAV/1091_WSI_NEU_XX.wav"): {
        "text": "We'll stop in a couple of minutes",
        "intensity": "unspecified",
        "gender": "female",
    },
    ("demos", "DEMOS/PR_m_13_rab02b.wav"): {"other": {"prototypicality": "prototypical"}, "intensity": None},
    ("demos", "NEU/m_68_neu05b.wav"): {"other": None, "gender": "male"},
    ("emotiw_2014", "Train_AFEW/Angry/000046280.avi"): {"other": {"film": "000"}, "group": "000"},
    ("emovo", "f1/dis-f1-d1.wav"): {"text": "Sabato sera cosa farà?", "gender": "female"},
    ("enterface", "subject 1/anger/sentence 5/s1_an_5.avi"): {"text": "You're getting paid to work, not drink coffee!"},
    ("enterface", "subject 6/anger/s6_an.avi"): {"text": None},
    ("eu_ev", "Original/Happy low intensity/b.mp3"): {"intensity": "low"},
    ("eu_ev", "Original/Happy/b.mp3"): {"intensity": None},
    ("mesd", "Happiness_C_B_por_favor.wav"): {"text": "por favor", "gender": "child", "other": {"word_corpus": "B"}},
    ("ravdess", "Actor_12/03-01-04-02-01-02-12.wav"): {
        "text": "Kids are talking by the door",
        "intensity": "strong",
        "take": "02",
        "gender": "female",
    },
    ("ravdess", "Actor_12/03-01-04-01-02-01-12.wav"): {"text": "Dogs are sitting by the door", "intensity": "normal"},
    ("subesco", "M_02_RASHED_S_10_SAD_3.wav"): {"text": "10", "take": "3", "gender": "male"},
    ("tess", "OAF_wheat_happy.wav"): {"text": "Say the word wheat", "age": "64", "gender": "female"},
    ("tess", "YAF_wheat_happy.wav"): {"text": "Say the word wheat", "age": "26"},
}


@pytest.mark.parametrize("case", sorted(FACTS), ids=" ".join)
def test_names_tell_text_intensity_take_and_who_speaks(case, tmp_path):
    corpus, name = case
    touch(tmp_path, name)
    (record,) = read(corpus, tmp_path)
    facts = {field: getattr(record, field) for field in FACTS[case]}
    if facts.get("other"):
        facts["other"] = json.loads(facts["other"])
    assert facts == FACTS[case]


def test_an_entry_of_ones_own_says_what_is_kept_and_what_copies_share(tmp_path):
    touch(tmp_path / "mine", "anna_joy_1.wav", "anger-ben-2.flac", "anger-ben-2.mp3")
    shelf = tmp_path / "mine.yaml"
    shelf.write_text(
        "id: mine\npaths:\n  pattern: '{speaker}_{emotion}_{room}.wav'\n"
        "  variants: ['{emotion}-{speaker}-{room}.wav']\n"
        "  same: [speaker, emotion, room]\n  facts: [room]\nlabels: {joy: joy, anger: anger}\n"
    )
    first, second = read(entry("mine", shelf), tmp_path / "mine")
    assert (first.file.name, first.speaker, first.raw_label) == ("anger-ben-2.flac", "ben", "anger")
    assert (second.speaker, json.loads(second.other)) == ("anna", {"room": "1"})
    shelf.write_text(
        shelf.read_text().replace("same: [speaker", "same: [speekr").replace("facts: [room]", "facts: [rom]")
    )
    with pytest.raises(ValueError, match="same: .* has no group speekr.*facts: nothing says what rom is"):
        entry("mine", shelf)


def test_a_sentence_stands_for_one_code():
    for corpus, facts in catalog().items():
        rule = facts.paths.values.get("text") if facts.paths else None
        if isinstance(rule, Mapping):
            sentences = [sentence for code, sentence in rule.items() if code != "of"]
            assert len(set(sentences)) == len(sentences), corpus


def test_every_actor_of_crema_d_has_an_age_and_a_gender(tmp_path):
    touch(tmp_path, *(f"{actor}_DFA_ANG_XX.wav" for actor in range(1001, 1092)))
    records = list(read("crema_d", tmp_path))
    assert Counter(record.gender for record in records) == {"male": 48, "female": 43}
    assert all(20 <= int(record.age) <= 74 for record in records)
