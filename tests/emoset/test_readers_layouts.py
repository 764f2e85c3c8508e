"""Every layout of the catalog, under names as they really occur, with the traps that circulate in them."""

import csv
import json
from pathlib import Path

import pandas as pd
import pytest

from exhubert.emoset import catalog, entry, read
from exhubert.emoset.catalog import emoset_plus_plus, with_scheme
from exhubert.emoset.catalog.problems import problems
from exhubert.emoset.readers import READERS

from ..conftest import SHARED_CORPORA
from .conftest import touch

EXAMPLES = SHARED_CORPORA.parent / "emoset" / "examples.tsv"

# corpus, path, raw label, speaker, class
NAMES = [
    ("casia", "liuchanhg/neutral/244.wav", "neutral", "liuchanhg", "low_neutral"),
    ("casia", "train/angry/201-angry-wangzhe.wav", "angry", "wangzhe", "high_negative"),
    ("casia", "CASIA database/ZhaoZuoxiang/fear/201.wav", "fear", "ZhaoZuoxiang", "high_negative"),
    ("crema_d", "AudioWAV/1015_DFA_SAD_XX.wav", "SAD", "1015", "low_negative"),
    ("crema_d", "1085_IEO_HAP_HI.wav", "HAP", "1085", "high_positive"),
    ("demos", "DEMOS/NP_m_13_rab02b.wav", "rab", "13", "high_negative"),
    ("demos", "NEU/m_68_neu05b.wav", "neu", "68", "low_neutral"),  # neutral has neither PR nor NP
    ("emo_db", "wav/16a05La.wav", "L", "16", "low_negative"),
    ("emofilm", "wav_corpus/m_tri009aes.wav", "tri", None, "low_negative"),
    ("emotiw_2014", "Train_AFEW/Angry/000046280.avi", "Angry", None, "high_negative"),
    ("emovo", "f1/dis-f1-b1.wav", "dis", "f1", "low_negative"),
    ("enterface", "subject 1/anger/sentence 5/s1_an_5.avi", "an", "subject 1", "high_negative"),
    ("enterface", "subject 11/disgust/sentence 2/s12_di_2.avi", "di", "subject 11", "low_negative"),  # named s12
    ("enterface", "subject 12/disgust/sentence 2/s12_di_2.avi", "di", "subject 12", "low_negative"),
    ("enterface", "subject 3/sadness/sentence 5/s_3_sa_5.avi", "sa", "subject 3", "low_negative"),
    ("enterface", "subject 16/surprise/sentence 3/s16_su_3avi.avi", "su", "subject 16", "high_neutral"),
    ("enterface", "subject 6/surprise/s6_su.avi", "su", "subject 6", "high_neutral"),  # not cut into sentences
    ("esd", "0012/Surprise/0012_001680.wav", "Surprise", "0012", "high_neutral"),
    ("esd", "Emotion Speech Dataset/0001/Angry/train/0001_000371.wav", "Angry", "0001", "high_negative"),
    ("esd", "English/Sad/test/0013_001081.wav", "Sad", "0013", "low_negative"),  # sorted by language
    ("eu_emoss", "emotions 1/Faces - HD Version/EDITED/Frustrated/HF23v2_cut.mp4", "frustrated", None, "high_negative"),
    ("eu_ev", "EU Emotion - UK Voices/Original/Sneaky/a1.mp3", "sneaky", None, "low_negative"),
    (
        "eu_ev",
        "EU Emotion - UK Voices/Original/Happy low intensity/b.mp3",
        "happy low intensity",
        None,
        "high_positive",
    ),
    ("mesd", "Mexican Emotional Speech Database (MESD)/Anger_M_A_fuera.wav", "Anger", None, "high_negative"),
    ("mesd", "Happiness_C_B_por_favor.wav", "Happiness", None, "high_positive"),
    ("ravdess", "Actor_12/03-01-04-01-01-02-12.wav", "Sad", "Actor_12", "low_negative"),
    (
        "ravdess",
        "audio/Audio_Speech_Actors_01-24/Actor_13/03-01-06-02-02-01-13.wav",
        "Fearful",
        "Actor_13",
        "high_negative",
    ),
    ("savee", "AudioData/DC/a01.wav", "a", "DC", "high_negative"),
    ("savee", "JK_sa08.wav", "sa", "JK", "low_negative"),
    ("shemo", "female/F01A01.wav", "A", "F01", "high_negative"),
    ("shemo", "male/M07F04.wav", "F", "M07", "high_negative"),  # F is fear here, female there
    ("subesco", "F_02_MONIKA_S_2_SURPRISE_3].wav", "SURPRISE", "F_02_MONIKA", "high_neutral"),  # a stray bracket
    ("subesco", "M_02_RASHED_S_2_SAD_3.wav", "SAD", "M_02_RASHED", "low_negative"),
    ("tess", "OAF_wheat_happy.wav", "happy", "OAF", "high_positive"),
    ("tess", "TESS/YAF_pleasant_surprised/YAF_home_ps.wav", "ps", "YAF", "high_positive"),
    ("tess", "OAF_neutral/OA_bite_neutral.wav", "neutral", "OAF", "low_neutral"),
    ("urdu", "Neutral/SM20_F3_N07.wav", "N", "SM20", "low_neutral"),
]
# What lies beside the recordings and is none of the corpus's utterances.
OTHERS = {
    "crema_d": ["AudioMP3/1015_DFA_SAD_XX.mp3", "VideoFlash/1015_DFA_SAD_XX.flv", "VideoDemographics.csv"],
    "emo_db": ["silb/03a01Fa.silb", "erkennung.txt"],
    "ravdess": ["Actor_01/03-02-01-01-01-01-01.wav", "Actor_01/02-01-01-01-01-01-01.mp4"],  # song, video without sound
    "eu_ev": ["EU Emotion - UK Voices/Fixed - amplified volume/Sneaky/a1.mp3"],
    "savee": ["._JK_sa08.wav", "__MACOSX/JK_sa08.wav"],
}


def below(root, records):
    return {record.file.relative_to(root).as_posix(): record for record in records}


@pytest.mark.parametrize("corpus", sorted({row[0] for row in NAMES}))
def test_names_give_label_speaker_and_class_and_strangers_are_left_alone(corpus, tmp_path):
    rows = [row for row in NAMES if row[0] == corpus]
    touch(tmp_path, *(path for _, path, *_ in rows), *OTHERS.get(corpus, []), "notes.txt")
    found = below(tmp_path, read(corpus, tmp_path))
    assert set(found) == {path for _, path, *_ in rows}
    for _, path, label, speaker, name in rows:
        assert (found[path].raw_label, found[path].speaker) == (label, speaker), path
        assert entry(corpus).class_of(label) == name


def test_every_corpus_of_the_datasheet_has_an_entry_and_every_entry_is_sound():
    assert len(emoset_plus_plus()) == 37
    for facts in catalog().values():
        assert problems(facts, READERS) == [], facts.id
    unpublished = {"abc", "ad", "bes", "cve", "des", "ea_act", "ea_bmw", "ea_wsj", "gemep", "gvess", "mes", "ppmmk"}
    unpublished |= {"simis", "susas", "turkish_emo", "demo", "manifest"}
    assert {facts.id for facts in catalog().values() if not facts.has_own_layout} == unpublished


def test_problems_of_an_entry_are_found():
    from dataclasses import replace

    broken = replace(entry("emo_db"), kind="sung", speakers=-1, reader="nobody", homepage="", uncertain=["hue"])
    assert len(problems(broken, READERS)) == 5


def test_emo_db_version_2_leaves_out_raw_twins_and_takes_the_speech_channel(tmp_path):
    touch(tmp_path, "wav/03a01Fa.wav", "wav/03a01Faxx.wav", "wav/08a01Waxx.wav")
    first, second = read("emo_db", tmp_path)
    assert first.file.name == "03a01Fa.wav" and first.channel is None
    assert second.file.name == "08a01Waxx.wav" and second.channel == 0


@pytest.mark.parametrize("folder", ["laryngo", "LARYNGOGRAPH", "session/egg", "lx"])
def test_laryngograph_signals_are_no_speech_wherever_they_are(tmp_path, folder):
    touch(tmp_path, "wav/03a01Fa.wav", f"{folder}/03a01Fa.wav", f"{folder}/deep/08a01Wa.wav")
    (record,) = read("emo_db", tmp_path)
    assert record.file == tmp_path / "wav/03a01Fa.wav"
    touch(tmp_path / "urdu", "Angry/SM1_F10_A010.wav", f"{folder}/Angry/SM1_F10_A010.wav")
    assert len(list(read("urdu", tmp_path / "urdu"))) == 1


def test_emofilm_keeps_dubbings_together_and_takes_actors_from_the_legend(tmp_path):
    touch(tmp_path, *(f"wav_corpus/f_gio133a{language}.wav" for language in ("en", "es", "it")))
    assert {(record.speaker, record.group) for record in read("emofilm", tmp_path)} == {(None, "133")}
    assert {record.language for record in read("emofilm", tmp_path)} == {"en", "es", "it"}
    legend = pd.DataFrame(
        {"file": ["f_gio133aen.wav", "f_gio133ait"], "speaker": ["Nicole  Kidman", "????"], "film": "x"}
    )
    with pd.ExcelWriter(tmp_path / "f_m_corpus_it_es_en_legend.xlsx") as book:
        legend.to_excel(book, sheet_name="female", index=False)
        legend.iloc[:0].to_excel(book, sheet_name="male", index=False)
    assert {record.other for record in read("emofilm", tmp_path)} == {'{"film": "x"}', None}
    speakers = {record.language: record.speaker for record in read("emofilm", tmp_path)}
    assert speakers == {"en": "Nicole Kidman", "es": None, "it": None}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "gb18030"])
def test_esd_transcripts_are_read_in_any_of_their_encodings(tmp_path, encoding):
    touch(tmp_path, "0001/Angry/evaluation/0001_000351.wav")
    (tmp_path / "0001" / "0001.txt").write_text("0001_000351\t打远一看。\t生气\nbroken line\n", encoding=encoding)
    (record,) = read("esd", tmp_path)
    assert record.text == "打远一看。" and record.partition == "validation"
    assert record.language == "zh-CN" and record.gender == "female"


def test_fau_aibo_reads_chunk_labels_and_partitions_by_school(tmp_path):
    touch(tmp_path, "wav/Ohm_01_000_00.wav", "wav/Mont_25_013_02.wav")
    labels = tmp_path / "labels" / "IS2009EmotionChallenge" / "chunk_labels_5cl_corpus.txt"
    labels.parent.mkdir(parents=True)
    labels.write_text("Ohm_01_000_00 N 0.86\nMont_25_013_02 A 1.0\nOhm_31_001_00 R 0.5\n")
    found = {record.file.stem: record for record in read("fau_aibo", tmp_path)}
    assert found["Ohm_01_000_00"].raw_label == "N" and found["Ohm_01_000_00"].partition == "train"
    assert found["Mont_25_013_02"].speaker == "Mont_25" and found["Mont_25_013_02"].partition == "test"
    assert json.loads(found["Ohm_01_000_00"].other) == {"confidence": 0.86}
    assert len(found) == 3, "a chunk without its recording is listed, so that the builder can report it"
    assert entry("fau_aibo").class_of("R") is None


def test_fau_aibo_keeps_the_label_of_two_classes_beside_that_of_five(tmp_path):
    (tmp_path / "chunk_labels_5cl_corpus.txt").write_text("Ohm_01_000_00 E 0.86\n")
    (tmp_path / "chunk_labels_2cl_corpus.txt").write_text("Ohm_01_000_00 NEG 0.9\n")
    touch(tmp_path, "flac/Ohm_01_000_00.flac")
    (record,) = read("fau_aibo", tmp_path)
    assert record.raw_label == "E" and record.file.is_file()
    assert json.loads(record.other) == {"confidence": 0.86, "label_of_two": "NEG", "confidence_of_two": 0.9}


def test_iemocap_speaker_is_the_letter_before_the_turn_number(tmp_path):
    session = tmp_path / "IEMOCAP_full_release" / "Session1"
    touch(session, *(f"sentences/wav/Ses01F_impro01/Ses01F_impro01_{turn}.wav" for turn in ("F000", "M011")))
    for folder, name, text in (
        ("EmoEvaluation", "Ses01F_impro01.txt", "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"
         "[6.2901 - 8.2357]\tSes01F_impro01_F000\tneu\t[2.5000, 2.5000, 2.5000]\nC-E2:\tNeutral;\t()\n"
         "[9.1 - 10.2]\tSes01F_impro01_M011\txxx\t[2.5, 2.5, 2.5]\n"),
        ("EmoEvaluation", "._Ses01F_impro01.txt", "[1 - 2]\tSes01F_impro01_F999\tang\t[1, 1, 1]\n"),
        ("EmoEvaluation/Categorical", "Ses01F_impro01_e2_cat.txt", "[1 - 2]\tSes01F_impro01_F998\tang\t[1, 1, 1]\n"),
        ("transcriptions", "Ses01F_impro01.txt", "Ses01F_impro01_F000 [006.2901-008.2357]: Excuse me.\n"),
    ):  # fmt: skip
        (session / "dialog" / folder).mkdir(parents=True, exist_ok=True)
        (session / "dialog" / folder / name).write_text(text)
    first, second = read("iemocap", tmp_path)
    assert (first.speaker, first.gender, first.raw_label, first.text) == ("Ses01F", "female", "neu", "Excuse me.")
    assert (second.speaker, second.gender, second.raw_label) == ("Ses01M", "male", "xxx")
    assert (second.session, second.dialogue) == ("Ses01", "Ses01F_impro01")
    assert first.file.is_file() and entry("iemocap").class_of("xxx") is None


def test_meld_ids_repeat_across_partitions_and_sentiment_can_settle_surprise(tmp_path):
    header = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID\n"
    rows = {
        "train": 'train_splits,"Oh, my God!",Mr. Franklin,surprise,negative',
        "dev": "dev_splits_complete,Hi,Joey,joy,positive",
        "test": "output_repeated_splits_test,Oh,Joey,surprise,positive",
    }
    for name, row in rows.items():
        folder, rest = row.split(",", 1)
        touch(
            tmp_path, f"{folder}/dia0_utt0.mp4", f"{folder}/._dia0_utt0.mp4", f"{folder}/final_videos_testdia0_utt0.mp4"
        )
        (tmp_path / f"{name}_sent_emo.csv").write_text(f"{header}1,{rest},0,0\n", encoding="utf-8")
    records = list(read("meld", tmp_path))
    assert len({record.file for record in records}) == 3 and all(record.file.is_file() for record in records)
    by_part = {record.partition: record for record in records}
    assert by_part["train"].text == "Oh, my God!" and by_part["train"].speaker == "Mr. Franklin"
    assert len({record.dialogue for record in records}) == 3, "dialogue 0 of each table is another dialogue"
    settled = with_scheme(entry("meld"), "corpus_valence")
    classes = [settled.class_of(by_part[part].raw_label, by_part[part].sentiment) for part in ("train", "test")]
    assert classes == ["high_negative", "high_positive"]
    assert entry("meld").class_of("surprise", "negative") == "high_neutral"


MELD_HEADER = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime\n"
MELD_COPIES = {
    "folders of partitions": ["train/dia0_utt0.wav", "dev/dia0_utt0.wav", "test/dia0_utt0.wav"],
    "folders within others": ["a/train/dia0_utt0.flac", "a/dev/dia0_utt0.flac", "a/test/dia0_utt0.flac"],
    "the publisher's folders": [
        "MELD.Raw/train_splits/dia0_utt0.mp3",
        "MELD.Raw/dev_splits_complete/dia0_utt0.mp3",
        "MELD.Raw/output_repeated_splits_test/dia0_utt0.mp3",
    ],
    "other words": ["wav_training/dia0_utt0.wav", "wav_validation/x/dia0_utt0.wav", "wav_testing/dia0_utt0.wav"],
    "names": ["wavs/train_Chandler_dia0_utt0.wav", "wavs/dev_Chandler_dia0_utt0.wav", "wavs/dia0_utt0_test.wav"],
}


@pytest.mark.parametrize("kind", sorted(MELD_COPIES))
def test_meld_as_audio_is_read_by_the_partition_in_its_path(tmp_path, kind):
    touch(tmp_path, *MELD_COPIES[kind])
    for number, table in enumerate(("train", "dev", "test")):
        row = f'1,Hello {number},Joey,joy,positive,0,0,4,7,"00:20:57,256","00:21:00,049"\n'
        (tmp_path / f"{table}_sent_emo.csv").write_text(f"{MELD_HEADER}{row}")
    records = {record.text: record for record in read("meld", tmp_path)}
    in_order = [records[f"Hello {number}"] for number in range(3)]
    assert [record.partition for record in in_order] == ["train", "validation", "test"]
    assert [record.file.relative_to(tmp_path).as_posix() for record in in_order] == MELD_COPIES[kind]
    facts = {"season": "4", "episode": "7", "starttime": "00:20:57,256", "endtime": "00:21:00,049"}
    assert json.loads(in_order[0].other) == facts


def test_meld_takes_audio_before_video_and_leaves_out_clips_of_no_partition(tmp_path, caplog):
    for table in ("train", "dev"):
        row = "1,Hello,Joey,joy,positive,0,0,4,7,,\n1,Hello,Joey,joy,positive,0,1,4,7,,\n"
        (tmp_path / f"{table}_sent_emo.csv").write_text(f"{MELD_HEADER}{row}")
    touch(tmp_path, "train/dia0_utt0.mp4", "train/dia0_utt0.wav", "dev/dia0_utt0.mp4", "clips/dia0_utt1.wav")
    found = {record.file.relative_to(tmp_path).as_posix() for record in read("meld", tmp_path) if record.file.is_file()}
    assert found == {"train/dia0_utt0.wav", "dev/dia0_utt0.mp4"}
    assert "1 clips are in no folder named train, dev or test" in caplog.text
    (tmp_path / "dev_sent_emo.csv").unlink()
    found = {record.file.relative_to(tmp_path).as_posix() for record in read("meld", tmp_path) if record.file.is_file()}
    assert found == {"train/dia0_utt0.wav", "clips/dia0_utt1.wav"}, "with one table there is no doubt"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_meld_tables_are_read_in_any_encoding_and_named_if_they_are_broken(tmp_path, encoding):
    touch(tmp_path, "train_splits/dia0_utt0.mp4")
    table = tmp_path / "train_sent_emo.csv"
    header = "Sr No.;Utterance;Speaker;Emotion;Sentiment;Dialogue_ID;Utterance_ID\n"
    table.write_bytes(f"{header}1;A café;Chloé;joy;positive;0;0\n".encode(encoding))
    (record,) = read("meld", tmp_path)
    assert (record.speaker, record.text, record.raw_label) == ("Chloé", "A café", "joy")
    assert record.file.is_file()
    table.write_bytes(header.replace("Emotion", "Feeling").encode(encoding))
    with pytest.raises(ValueError, match="expected the columns .*emotion.*; found Sr No., Utterance, Speaker, Feeling"):
        list(read("meld", tmp_path))


def test_the_original_shemo_has_its_transcripts_beside_the_recordings(tmp_path):
    touch(tmp_path, "female/F01A01.wav", "female/F01A02.wav")
    (tmp_path / "transcript/final text").mkdir(parents=True)
    (tmp_path / "transcript/final text/F01A01.ort").write_text("سلام\n", encoding="utf-8")
    assert [record.text for record in read("shemo", tmp_path)] == ["سلام", None]


@pytest.mark.parametrize("form", [list, dict])
def test_the_publishers_json_gives_shemo_transcripts_and_leaves_labels_to_the_names(tmp_path, form):
    touch(tmp_path, "female/F21N37.wav", "male/M21F01.flac", "male/M03A02.wav")
    facts = [
        {
            "id": "F21N37",
            "gender": "female",
            "emotion": "neutral",
            "transcript": f"{chr(0xFEFF)}سلام",
            "ipa": "doroste",
        },
        {"id": "M21F01", "gender": "male", "emotion": "fearful", "transcript": "اون", "ipa": "zude"},
    ]
    content = facts if form is list else {entry.pop("id"): entry for entry in facts}
    (tmp_path / "shemo.json").write_text(json.dumps(content))
    found = {record.file.stem: record for record in read("shemo", tmp_path)}
    assert {name: (record.raw_label, record.text) for name, record in found.items()} == {
        "F21N37": ("N", "سلام"),
        "M21F01": ("F", "اون"),
        "M03A02": ("A", None),
    }
    assert json.loads(found["F21N37"].other) == {"ipa": "doroste"} and found["M03A02"].other is None
    (tmp_path / "shemo.json").write_text('[{"name": "F21N37"}]')
    with pytest.raises(ValueError, match="shemo.json: expected a map .* or a list of annotations with id"):
        list(read("shemo", tmp_path))


def test_modified_shemo_takes_labels_and_selection_from_its_annotation(tmp_path):
    touch(tmp_path, "shemo/F21N05.wav", "shemo/M04H01.wav")
    facts = {"F21N05.wav": {"path": "shemo/F21N05.wav", "gender": "female", "emotion": "anger", "transcript": "سلام"}}
    (tmp_path / "modified_shemo.json").write_text(json.dumps(facts), encoding="utf-8")
    (record,) = read("shemo", tmp_path)
    assert (record.raw_label, record.speaker, record.text) == ("anger", "F21", "سلام")
    assert entry("shemo").class_of("anger") == entry("shemo").class_of("A") == "high_negative"
    (tmp_path / "modified_shemo.json").write_text("{")
    with pytest.raises(ValueError, match="modified_shemo.json isn't valid JSON"):
        list(read("shemo", tmp_path))


def test_a_stray_byte_in_a_transcript_costs_a_letter_and_not_the_corpus(tmp_path, caplog):
    touch(tmp_path, "0001/Angry/0001_000351.wav", "0001/Angry/0001_000352.wav", "0001/Angry/0001_000353.wav")
    lines = "0001_000351\t打远一看。\t生气\n0001_000352\t打远一看。\t生气\n0001_000353\t".encode()
    (tmp_path / "0001" / "0001.txt").write_bytes(lines + b"\xff!\t\n")
    assert [record.text for record in read("esd", tmp_path)] == ["打远一看。", "打远一看。", "\ufffd!"]
    assert "0001.txt, line 3: byte 0xFF" in caplog.text


def test_smartkom_turns_take_the_state_that_overlaps_most_and_the_system_is_left_out(tmp_path):
    folder = tmp_path / "SK-Public" / "w001_pk"
    touch(folder, "w001_pkd.wav", "w001_pka.wav", "w002_pkd.wav")
    (folder / "w001_pk_AAA.par").write_text(
        "LHD: Partitur 1.3\nORT:\t0\tguten\nORT:\t1\tTag\nORT:\t2\tja\n"
        "USH: 0 20000 Neutral\nUSH: 20000 40000 Freude/Erfolg\n"
        "TRN: 16000 32000 0,1 w001_pk_000_AAA\nTRN: 100000 1000 2 w001_pk_001_AAA\n",
        encoding="latin-1",
    )
    (folder / "w001_pk_SMA.par").write_text("USH: 0 9000 Neutral\nTRN: 0 9000 0 x\n")
    (record,) = read("smartkom", tmp_path)
    assert record.file.name == "w001_pkd.wav" and record.speaker == "AAA" and record.text == "guten Tag"
    assert (record.raw_label, record.start, record.end) == ("Freude/Erfolg", 1.0, 3.0)
    assert json.loads(record.other) == {"turn": "w001_pk_000_AAA"}
    (folder / "w001_pkd.wav").rename(folder / "w001_pkd.flac")
    (folder / "w001_pka.wav").unlink()
    assert next(read("smartkom", tmp_path)).file.name == "w001_pkd.flac"


def test_emotiw_keeps_films_together_and_its_official_partition(tmp_path):
    touch(tmp_path, "Train_AFEW/Happy/000046280.avi", "Val_AFEW/Sad/005150814.avi", "Val_AFEW/Sad/005150815.avi")
    found = {record.file.name: record for record in read("emotiw_2014", tmp_path)}
    assert found["005150814.avi"].group == found["005150815.avi"].group == "005"
    assert found["005150814.avi"].partition == "validation" and found["000046280.avi"].partition == "train"


def test_manifests_come_as_json_lines_and_as_emonets_three_tables(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "manifest.jsonl").write_text('{"file": "a.wav", "label": "joy", "start": 0.5}\n\n')
    (record,) = read("manifest", tmp_path / "one")
    assert record.start == 0.5 and record.speaker is None
    (tmp_path / "two").mkdir()
    for name in ("train", "val", "test"):
        (tmp_path / "two" / f"{name}.csv").write_text(f"file,label\n{name}.wav,anger\n")
    parts = {record.file.stem: record.partition for record in read("susas", tmp_path / "two")}
    assert parts == {"train": "train", "val": "validation", "test": "test"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"file": "a.wav"\n', "line 1: not a JSON object"),
        (b"[1]\n", "line 1: expected a JSON object, found list"),
        (b'{"file": "a.wav", "label": "joy", "end": "inf"}\n', "line 1: end is 'inf', expected seconds"),
        (b'{"file": "a.wav", "label": "joy", "start": -1}\n', "line 1: start is '-1', expected seconds"),
    ],
)
def test_broken_json_lines_name_the_line(tmp_path, content, message):
    (tmp_path / "manifest.jsonl").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        list(read("manifest", tmp_path))


@pytest.mark.parametrize("content", ["file;label;speaker\na.wav;joy;x\n", "file , label,speaker\na.wav,joy,x\n"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_manifests_from_spreadsheets_are_read(tmp_path, content, encoding):
    (tmp_path / "manifest.csv").write_text(content, encoding=encoding)
    (record,) = read("manifest", tmp_path)
    assert (record.file.name, record.raw_label, record.speaker) == ("a.wav", "joy", "x")


def test_label_schemes_replace_the_map(tmp_path):
    default = entry("emo_db")
    assert with_scheme(default, "alternative").class_of("L") == "low_neutral"
    path = tmp_path / "mine.yaml"
    path.write_text('emo_db:\n  L: low_neutral\n  T: null\n"*":\n  W: high_neutral\n')
    mine = with_scheme(default, path)
    assert [mine.class_of(raw) for raw in "LTWN"] == ["low_neutral", None, "high_neutral", "low_neutral"]
    assert mine.labels["L"].basis == "user" and default.class_of("L") == "low_negative"
    path.write_text("emo_db:\n  L: sleepy\n")
    with pytest.raises(ValueError, match="L: sleepy; a class is one of low_negative"):
        with_scheme(default, path)
    with pytest.raises(ValueError, match="No label scheme 'nonsense': expected default, alternative"):
        with_scheme(default, "nonsense")


@pytest.mark.skipif(not EXAMPLES.is_file(), reason="the list of real paths is not on this machine")
def test_every_real_example_is_read_with_its_label_and_speaker(tmp_path):
    with EXAMPLES.open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    from_annotation = {"iemocap", "meld", "emofilm"}  # labels or speakers stand in files that come with the corpus
    checked = 0
    for corpus in sorted({row["corpus"] for row in rows} - from_annotation):
        for modified in (False, True) if corpus == "shemo" else (False,):
            own = [row for row in rows if row["corpus"] == corpus]
            if corpus == "shemo":
                own = [row for row in own if (len(row["raw_label"]) > 1) == modified]
            root = tmp_path / f"{corpus}{modified}"
            touch(root, *(row["relative_path"] for row in own))
            if modified:
                facts = {Path(row["relative_path"]).name: {"emotion": row["raw_label"]} for row in own}
                (root / "modified_shemo.json").write_text(json.dumps(facts))
            found = below(root, read(corpus, root))
            for row in own:
                record = found[row["relative_path"]]
                assert record.raw_label == row["raw_label"] and (record.speaker or "") == row["speaker"]
                assert entry(corpus).class_of(record.raw_label) is not None
                checked += 1
    assert checked > 150


def test_meld_finds_clips_whose_numbers_pandas_wrote_and_labels_in_capitals(tmp_path):
    touch(tmp_path, "train_splits/dia3_utt1.mp4")
    header = "Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID"
    (tmp_path / "train_sent_emo.csv").write_text(f"{header}\nhi,Ross,Surprise,positive,3.0,1.0\n")
    (record,) = read("meld", tmp_path)
    assert record.file.is_file() and (record.raw_label, record.dialogue) == ("surprise", "train 3")


@pytest.mark.parametrize(
    ("corpus", "name", "content", "message"),
    [
        ("m3ed", "annotation.json", '{"a": {"b": {"Dialog": {"c": {}}}}}', "expected series, their clips"),
        ("m3ed", "annotation.json", "[1]", "expected series, their clips"),
        ("smartkom", "w1_pk_AAA.par", "USH: now 5 Neutral", "expected start and length in samples after USH:, found"),
    ],
)
def test_annotation_of_another_form_is_a_sentence_with_its_file(tmp_path, corpus, name, content, message):
    touch(tmp_path, "w1_pkd.wav")
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=f"{name}: {message}"):
        list(read(corpus, tmp_path))
