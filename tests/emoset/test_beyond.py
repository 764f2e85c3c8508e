"""Corpora beyond the paper's 37: their published names are read and recognised, and no build mixes them in unasked."""

import json

import pytest

from exhubert.cli.main import main
from exhubert.emoset import EmoSetPlusPlus, catalog, entry, read
from exhubert.emoset.catalog import NO_CORPORA, emoset_plus_plus
from exhubert.emoset.readers import matches, recognise
from exhubert.emoset.sources import find_corpora

from ..conftest import write_tone
from .conftest import touch

# corpus: path, raw label, speaker, class; names as they are published
NAMES = {
    "aesdd": [
        ("anger/a03 (3).wav", "a", "3", "high_negative"),
        ("fear/f12 (01).wav", "f", "1", "high_negative"),
        ("sadness/s01 (5)a.wav", "s", "5", "low_negative"),
        ("happiness/h14 (6).wav", "h", "6", "high_positive"),
        ("disgust/d04 (5)b.wav", "d", "5", "low_negative"),
    ],
    "ased": [
        ("05Angry/a5-02-01-01-33.wav", "a", "33", "high_negative"),
        ("05Angry/a5-07-02-02-65.wav", "a", "65", "high_negative"),
        ("04Sad/s4-01-01-01-03.wav", "s", "03", "low_negative"),
        ("04Sad/S4-04-02-01-29.wav", "s", "29", "low_negative"),  # a capital letter
    ],
    "asvp_esd": [
        ("Audio/actor_36/03-01-09-01-06-36-02-02-01-39.wav", "09", "36", "high_positive"),
        ("Audio/actor_36/03-01-04-01-10-36-03-03-01.wav", "04", "36", "low_negative"),
        ("Audio/actor_101/03-01-04-01-00-101-02-01-00-14-02.wav", "04", "101", "low_negative"),
    ],
    "cafe": [
        ("CaFE_48k/Peur/Fort/08-P-2-1.wav", "P", "08", "high_negative"),
        ("CaFE_48k/D\u201ago\u2013t/Faible/08-D-1-3.wav", "D", "08", "low_negative"),
        ("CaFE_48k/Joie/Fort/08-J-2-6.wav", "J", "08", "high_positive"),
        ("CaFE_48k/Neutre/08-N-1-1.wav", "N", "08", "low_neutral"),
    ],
    "emotale": [
        ("DK_004_A_5.wav", "A", "004", "high_negative"),
        ("EN_003_B_1.wav", "B", "003", "low_negative"),
        ("EN_003_H_1.wav", "H", "003", "high_positive"),
        ("EN_003_S_5.wav", "S", "003", "low_negative"),
    ],
    "emouerj": [
        ("audios/emoUERJ/m03s08.wav", "s", "m03", "low_negative"),
        ("emoUERJ/w04a11.wav", "a", "w04", "high_negative"),
        ("emoUERJ/w04n01.wav", "n", "w04", "low_neutral"),
    ],
    "emov_db": [
        ("bea/Angry/anger_1-28_0011.wav", "Angry", "bea", "high_negative"),
        ("jenie_Amused/amused_57-84_0057.wav", "Amused", "jenie", "high_positive"),
        ("jenie_Amused/amused_113-136_0114.wav", "Amused", "jenie", "high_positive"),
    ],
    "jl_corpus": [
        ("Raw JL corpus (unchecked and unannotated)/JL(wav+txt)/male2_concerned_6b_1.wav", "concerned", "male2",
         "high_negative"),
        ("JL(wav+txt)/female1_apologetic_15b_2.wav", "apologetic", "female1", "low_negative"),
        ("JL(wav+txt)/female2_excited_5a_2.wav", "excited", "female2", "high_positive"),
        ("JL(wav+txt)/male1_encouraging_12b_2.wav", "encouraging", "male1", "high_positive"),
    ],
    "kannada_emotional": [
        ("audios/09-05-01.wav", "05", "09", "high_negative"),
        ("12-06-02.wav", "06", "12", "low_neutral"),
        ("01-01-06.wav", "01", "01", "high_negative"),
        ("13-02-03.wav", "02", "13", "low_negative"),
    ],
    "mead": [
        ("W019/audio/neutral/level_1/020.m4a", "neutral", "W019", "low_neutral"),
        ("M024/audio/neutral/level_1/007.m4a", "neutral", "M024", "low_neutral"),
        ("M027/audio/disgusted/level_3/026.m4a", "disgusted", "M027", "low_negative"),
    ],
    "nemo": [
        ("samples/EB0_anger_1.wav", "anger", "EB0", "high_negative"),
        ("samples/EB0_anger_90.wav", "anger", "EB0", "high_negative"),
        ("samples/EB0_fear_16.wav", "fear", "EB0", "high_negative"),
    ],
    "oreau": [
        ("Ore\u0301auFR_02/m/sessj/29a13Ja.wav", "J", "29", "high_positive"),
        ("Ore\u0301auFR_02/f/sesss/13a06Sa.wav", "S", "13", "high_neutral"),
        ("Ore\u0301auFR_02/m/sessn/08a01Na.wav", "N", "08", "low_neutral"),
        ("Ore\u0301auFR_02/m/sesst/08a05Ta.wav", "T", "08", "low_negative"),
    ],
    "polish_emotional": [
        ("m3.s_trzymaj_5.wav", "s", "m3", "high_negative"),  # s is fear
        ("m2.n_podaj_2.wav", "n", "m2", "low_neutral"),
        ("m5.a_stop_4.wav", "a", "m5", "high_negative"),
    ],
    "castro_lima": [
        ("1sA_angry1.wav", "angry", "A", "high_negative"),
        ("12pB_surprise2.wav", "surprise", "B", "high_neutral"),
        ("3sB_sad1.wav", "sad", "B", "low_negative"),
    ],
    "resd": [
        ("train/happiness_enthusiasm_32/32_happiness_enthusiasm_h_120.wav", "h", None, "high_positive"),
        ("train/happiness_enthusiasm_32/32_happiness_enthusiasm_e_060.wav", "e", None, "high_positive"),
        ("train/03_disgust_neutral/03_disgust_neutral n_050.wav", "n", None, "low_neutral"),
        ("train/11_disgust_anger/11_anger_disgust d_200.wav", "d", None, "low_negative"),
    ],
    "turev_db": [
        ("Sound Source/Calm/1984_sk_eger.wav", "Calm", "1984", "low_positive"),
        ("Sound Source/Angry/1157_kz_acik.wav", "Angry", "1157", "high_negative"),
        ("Sound Source/Calm/6783_sk_koku.wav", "Calm", "6783", "low_positive"),
    ],
}  # fmt: skip


def emns(root):
    """EMNS as it is published: a table that names other folders and endings than the recordings have."""
    touch(root, "cleaned_webm/recorded_audio_RF6OuQ4.webm", "cleaned_webm/recorded_audio_KkeDrQa.webm",
          "cleaned_webm/recorded_audio_DTKHnUN.wav")  # fmt: skip
    lines = ["id|utterance|description|user_id|audio_recording|gender|age|level|emotion"]
    for name, emotion in (("RF6OuQ4", "Disgust"), ("KkeDrQa", "Excited"), ("DTKHnUN", "Sad")):
        lines.append(f'1|He said, "no".|a|3|wavs/recorded_audio_{name}.webm|Female|30|5|{emotion}')
    (root / "metadata.csv").write_text("\n".join(lines).replace('"', "'") + "\n")


def emozionalmente(root):
    names = ("1613655062436", "1619253465089", "1613063132088")
    touch(root, *(f"audio/{name}.wav" for name in names))
    (root / "metadata").mkdir()
    emotions = enumerate(("neutrality", "sadness", "joy"))
    rows = [
        f"{name}.wav,user{number},Che bello!,{emotion}" for name, (number, emotion) in zip(names, emotions, strict=True)
    ]
    (root / "metadata/samples.csv").write_text("\n".join(["file_name,actor,sentence,emotion_expressed", *rows]) + "\n")
    (root / "metadata/users.csv").write_text(
        "username,gender,age,mother_tongue\nuser0,female,31,it\nuser2,male,40,it\n"
    )


def msp_podcast(root):
    names = ("MSP-PODCAST_0001_0008", "MSP-PODCAST_0001_0009", "MSP-PODCAST_0001_0011")
    touch(root, *(f"Audios/{name}.wav" for name in names))
    (root / "Labels").mkdir()
    rows = [
        "N,2.2,4.0,2.6,30,Male,Test1",
        "A,3.777778,3.555556,3.777778,39,Female,Train",
        "X,4.1,4,4,9,Male,Development",
    ]
    lines = [f"{name}.wav,{row}" for name, row in zip(names, rows, strict=True)]
    header = "FileName,EmoClass,EmoAct,EmoVal,EmoDom,SpkrID,Gender,Split_Set"
    (root / "Labels/labels_consensus.csv").write_text("\n".join([header, *lines]) + "\n")


def m3ed(root):
    """M3ED with two series of one clip each."""
    annotation = {}
    for series, folder, emotion in (("anjia", "train", "Anger"), ("baba", "test", "Happy")):
        turns = {}
        for number, who in enumerate("AB"):
            touch(root, f"modality_speech/{who}_{series}_1_{number}.wav")
            emotions = {"final_main_emo": emotion, "final_mul_emo": emotion}
            turns[f"{series}_1_{number}"] = {"Speaker": who, "Text": "你好", "EmoAnnotation": emotions}
        people = {"A": {"Name": "An", "Age": "mid"}, "B": {"Name": "Bo", "Age": "young"}}
        annotation[series] = {f"{series}_1": {"SpeakerInfo": people, "Dialog": turns}}
        (root / "splitInfo").mkdir(exist_ok=True)
        (root / f"splitInfo/movie_list_{folder}.txt").write_text(f"{series}\n")
    (root / "annotation.json").write_text(json.dumps(annotation), encoding="utf-8")


def msp_improv(root):
    names = ("S01A-F01-P-FM01", "S01A-M01-P-FM01", "S05H-F02-R-MF03")
    touch(root, *(f"session1/S01A/P/MSP-IMPROV-{name}.wav" for name in names))
    lines = []
    for name, label in zip(names, "AXH", strict=True):
        lines += [f"UTD-IMPROV-{name}.avi; {label}; A:3.800000; V:1.600000; D:NaN ; N:3.600000;",
                  "D20131230PM_Rater_01; Anger; Anger,Frustrated; A:3.0; V:2.0; D:4.0; N:4.0;", ""]  # fmt: skip
    (root / "Evaluation.txt").write_text("\n".join(lines))


def pavoque(root):
    touch(root, "pavoque-poker.flac", "pavoque-happy.flac")
    for style in ("poker", "happy"):
        part = {"text": "Guten Tag", "style": style}
        parts = [part | {"prompt": f"{style}_n001{n}", "start": n * 2.5, "end": n * 2.5 + 2} for n in range(2)]
        (root / f"pavoque-{style}.yaml").write_text(json.dumps(parts))


ANNOTATED = {
    "emns": emns,
    "emozionalmente": emozionalmente,
    "m3ed": m3ed,
    "msp_improv": msp_improv,
    "msp_podcast": msp_podcast,
    "pavoque": pavoque,
}


def make(corpus, root):
    root.mkdir(parents=True, exist_ok=True)
    if corpus in ANNOTATED:
        ANNOTATED[corpus](root)
    else:
        touch(root, *(path for path, *_ in NAMES[corpus]))
    return root


def test_every_corpus_beyond_has_its_names_here_and_a_source_for_layout_and_labels():
    beyond = {corpus: facts for corpus, facts in catalog().items() if facts.beyond}
    assert beyond.keys() == NAMES.keys() | ANNOTATED.keys()
    for corpus, facts in beyond.items():
        assert {"layout", "labels"} <= facts.sources.keys(), corpus
        assert not set(facts.sources) & set(facts.uncertain), corpus
        for name in ("speakers", "utterances", "hours", "licence"):
            sourced = name in facts.sources or name in facts.uncertain
            assert sourced or getattr(facts, name) == "unknown" or "none read" in str(getattr(facts, name)), (
                corpus,
                name,
            )


@pytest.mark.parametrize("corpus", NAMES)
def test_published_names_give_label_speaker_and_class(corpus, tmp_path):
    root = make(corpus, tmp_path)
    records = {record.file.relative_to(root).as_posix(): record for record in read(corpus, root)}
    assert records.keys() == {path for path, *_ in NAMES[corpus]}
    for path, label, speaker, name in NAMES[corpus]:
        assert (records[path].raw_label, records[path].speaker) == (label, speaker), path
        assert entry(corpus).class_of(label) == name, path


@pytest.mark.parametrize("corpus", [*NAMES, *ANNOTATED])
def test_published_names_are_recognised_as_their_corpus_and_no_other(corpus, tmp_path):
    root = make(corpus, tmp_path / "strange name")
    assert [match.corpus for match in matches(root) if match.fits] == [corpus]
    assert recognise(root) == corpus


def test_codes_in_names_tell_gender_language_and_partition(tmp_path):
    cafe = {(record.gender, record.age) for record in read("cafe", make("cafe", tmp_path / "cafe"))}
    assert cafe == {("female", "25")}
    genders = [(record.speaker, record.gender) for record in read("emouerj", make("emouerj", tmp_path / "emouerj"))]
    assert set(genders) == {("m03", "male"), ("w04", "female")}
    kannada = {
        record.speaker: record.gender for record in read("kannada_emotional", make("kannada_emotional", tmp_path / "k"))
    }
    assert kannada == {"09": "female", "12": "male", "01": "female", "13": "male"}
    assert {record.language for record in read("emotale", make("emotale", tmp_path / "emotale"))} == {"da", "en"}
    resd = list(read("resd", make("resd", tmp_path / "resd")))
    assert {record.partition for record in resd} == {"train"} and {record.dialogue for record in resd} == {
        "32",
        "03",
        "11",
    }


def test_non_speech_sounds_of_asvp_esd_are_left_out_but_belong_to_it(tmp_path):
    root = make("asvp_esd", tmp_path)
    touch(
        root, "Audio/actor_101/03-02-06-01-42-101-02-01-00-16.wav", "Audio/actor_36/03-02-08-02-81-36-03-03-01-18.wav"
    )
    assert len(list(read("asvp_esd", root))) == 3 and recognise(root) == "asvp_esd"


def test_a_table_annotates_recordings_wherever_they_are(tmp_path):
    records = {record.raw_label: record for record in read("emns", make("emns", tmp_path / "emns"))}
    assert records["Disgust"].file.name == "recorded_audio_RF6OuQ4.webm" and records["Sad"].file.suffix == ".wav"
    assert all(record.file.is_file() and record.gender == "female" for record in records.values())
    italian = {record.raw_label: record for record in read("emozionalmente", make("emozionalmente", tmp_path / "e"))}
    assert (italian["joy"].speaker, italian["joy"].gender, italian["joy"].age) == ("user2", "male", "40")
    assert italian["sadness"].gender is None, "a speaker whom the second table lacks"
    podcast = {record.raw_label: record for record in read("msp_podcast", make("msp_podcast", tmp_path / "m"))}
    assert [podcast[label].partition for label in "NAX"] == ["test", "train", "validation"]
    assert (podcast["N"].arousal, podcast["N"].valence, podcast["N"].rating_scale) == (2.2, 4.0, (1, 7))
    assert entry("msp_podcast").class_of("X") is None
    (tmp_path / "m/Labels/labels_consensus.csv").write_text("FileName,Emotion\na.wav,N\n")
    with pytest.raises(ValueError, match="expected the columns filename, emoclass; found FileName, Emotion"):
        list(read("msp_podcast", tmp_path / "m"))


def test_improv_labels_are_what_listeners_heard_and_pavoque_is_cut_by_its_list(tmp_path):
    records = {record.raw_label: record for record in read("msp_improv", make("msp_improv", tmp_path / "improv"))}
    assert (records["A"].speaker, records["A"].gender, records["A"].session) == ("F01", "female", "01")
    assert (records["A"].arousal, records["A"].dominance) == (3.8, None) and records["H"].file.is_file()
    parts = list(read("pavoque", make("pavoque", tmp_path / "pavoque")))
    assert [(part.file.name, part.start, part.end) for part in parts[2:]] == [
        ("pavoque-poker.flac", 0.0, 2.0), ("pavoque-poker.flac", 2.5, 4.5)]  # fmt: skip
    assert {entry("pavoque").class_of(part.raw_label) for part in parts} == {"high_positive", "low_neutral"}


def test_a_broken_list_of_pavoque_is_named(tmp_path):
    for content in ("- {style: poker", "- {prompt: a}", "style"):
        (tmp_path / "pavoque-poker.yaml").write_text(content)
        with pytest.raises(
            ValueError, match="pavoque-poker.yaml: expected a list of utterances with style, start and end"
        ):
            list(read("pavoque", tmp_path))


def test_m3ed_names_speakers_within_their_series_and_keeps_its_partition(tmp_path):
    records = list(read("m3ed", make("m3ed", tmp_path)))
    assert {record.speaker for record in records} == {"anjia_An", "anjia_Bo", "baba_An", "baba_Bo"}
    assert {(record.raw_label, record.partition) for record in records} == {("Anger", "train"), ("Happy", "test")}
    assert all(record.file.is_file() and record.text == "你好" for record in records)


def test_emoset_plus_plus_never_includes_corpora_beyond_demo_or_a_users_own(emo_db, tmp_path, capsys):
    root = emo_db.parent
    assert len(emoset_plus_plus()) == 37 and not set(NO_CORPORA) & set(emoset_plus_plus())
    for number, (path, *_) in enumerate(NAMES["cafe"]):
        write_tone(root / "CaFE" / path, frequency=200.0 + 30 * number)
    write_tone(root / "my_calls" / "a.wav")
    (root / "my_calls" / "manifest.csv").write_text("file,label,speaker\na.wav,joy,x\n")
    assert set(find_corpora(root).found) == {"emo_db", "cafe", "my_calls"}
    assert set(find_corpora(root, ["emoset++"]).found) == {"emo_db"}
    assert set(find_corpora(root, ["cafe", "EmoSet++"]).found) == {"cafe", "emo_db"}
    builder = EmoSetPlusPlus(config_name="emoset++", root=root, cache_dir=str(tmp_path / "cache"))
    assert set(builder.listings) == {"emo_db"}
    arguments = ["emoset", "build", "--root", str(root), "--output", str(tmp_path / "out"), "--corpora", "emoset++"]
    assert main(arguments) == 0
    assert set(json.loads((tmp_path / "out/summary.json").read_text())) == {"emo_db"}
    capsys.readouterr()
    assert (
        main(["emoset", "build", "--root", str(root / "my_calls"), "--output", str(tmp_path / "o"), *arguments[-2:]])
        == 1
    )
    assert "holds my_calls, but none of the 37 corpora of EmoSet++" in capsys.readouterr().err


def test_list_show_and_verify_tell_corpora_beyond_from_the_37(emo_db, capsys):
    make("cafe", emo_db.parent / "CaFE")
    assert main(["emoset", "list", "--root", str(emo_db.parent)]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert " beyond " in lines["cafe"] and " emoset++ " in lines["emo_db"] and " beyond " not in lines["demo"]
    assert main(["emoset", "show", "cafe"]) == 0
    shown = capsys.readouterr().out
    assert "beyond: True" in shown and "utterances: 936 [github.com/emo-box/EmoBox, README.md]" in shown
    assert "labels: [github.com/Strong-AI-Lab/emotion, datasets/CaFE/process.py; the publisher" in shown
    assert main(["emoset", "verify", "--root", str(emo_db.parent)]) == 0
    verified = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "4 of 936 utterances" in verified["cafe"] and "absent" in verified["urdu"] and "nemo" not in verified


def test_corpora_are_named_with_spaces_between_and_a_name_leads_to_its_id(emo_db, tmp_path, capsys):
    arguments = ["emoset", "build", "--root", str(emo_db.parent), "--output", str(tmp_path / "out"), "--corpora"]
    assert main([*arguments, "emoset++, emo_db,"]) == 0
    with pytest.raises(SystemExit):
        main([*arguments, " , "])
    assert "--corpora: names no corpus; leave it out to build all" in capsys.readouterr().err
    for name in ("EMO-DB", "Emo_DB", "emodb"):
        assert main(["emoset", "show", name]) == 1
        assert "did you mean emo_db" in capsys.readouterr().err
