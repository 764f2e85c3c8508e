"""Hugging Face datasets on disk: in the shapes that people publish, built in one command."""

import hashlib
import io
import json
from collections import Counter
from dataclasses import replace

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from datasets import Audio, ClassLabel, Dataset, DatasetDict, Features, Value

from exhubert.cli.main import main
from exhubert.emoset import build
from exhubert.emoset.audio_rows import Rows, read_row
from exhubert.emoset.builder import EmoSetPlusPlus
from exhubert.emoset.catalog import entry
from exhubert.emoset.checks.verify import verify
from exhubert.emoset.listing import list_corpora, list_corpus
from exhubert.emoset.readers import own_form, read
from exhubert.emoset.record import Vote
from exhubert.emoset.sources import find_corpora

from ...conftest import write_tone, write_video
from ..conftest import manifest

datasets.disable_progress_bars()
SHEMO_CODES = ["A", "H", "N", "S", "W", "F"]


def sound(seed: int, rate: int = 16_000, channels: int = 1, form: str = "WAV", seconds: float = 0.3) -> bytes:
    """A recording that differs for each seed."""
    noise = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    samples = 0.3 * np.sin(2 * np.pi * (150 + 7 * seed) * time) + 0.02 * noise.standard_normal(len(time))
    buffer = io.BytesIO()
    soundfile.write(buffer, np.repeat(samples[:, None], channels, axis=1), rate, format=form)
    return buffer.getvalue()


def audio(seed: int, path: str | None = None, **options) -> dict:
    return {"bytes": sound(seed, **options), "path": path}


def write(path, rows: list[dict], features: Features | None = None) -> None:
    """Writes a parquet file as the hub has them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {name: [row[name] for row in rows] for name in (features or rows[0])}
    table = Dataset.from_dict(columns)
    table.cast(features).to_parquet(path) if features else table.to_parquet(path)


def built_rows(output) -> dict[str, dict]:
    """The rows of a built dataset without audio, by the end of their ids."""
    rows = {}
    for path in sorted(output.glob("*/*.parquet")):
        for row in pq.read_table(path).drop_columns("audio").to_pylist():
            assert row["utterance_id"] not in rows
            rows[row["utterance_id"]] = row
    return rows


def by_name(rows: dict[str, dict], corpus: str) -> dict[str, dict]:
    return {key.rpartition("/")[2]: row for key, row in rows.items() if row["corpus"] == corpus}


AUDIO = Audio(decode=False)


@pytest.fixture
def classes_without_speakers(tmp_path):
    """`audio, emotion` as ClassLabel of ShEMO's codes, in three splits, without speakers."""
    root = tmp_path / "hub" / "persian"
    features = Features({"audio": AUDIO, "emotion": ClassLabel(names=SHEMO_CODES)})
    speakers = {"train": ["F01", "M02", "F03"], "test": ["F01", "M05"], "valid": ["M06"]}
    seed = 0
    for split, names in speakers.items():
        rows = []
        for name in names:
            for code, letter in enumerate(SHEMO_CODES):
                number = {"train": 1, "test": 2, "valid": 3}[split]
                rows.append({"audio": audio(seed, f"{name}{letter}{number:02}.wav", rate=44_100), "emotion": code})
                seed += 1
        write(root / f"data/{split}-00000-of-00001.parquet", rows, features)
    return root


@pytest.fixture
def texts_and_speakers(tmp_path):
    """`audio, text, emotion, speaker` in shards of the split that data without splits has."""
    root = tmp_path / "hub" / "acted"
    for shard in range(2):
        rows = [
            {
                "audio": audio(100 + 20 * shard + index, f"clip_{index}.flac", rate=48_000, channels=2, form="FLAC"),
                "text": f"sentence {index}",
                "emotion": ["angry", "happy", "neutral", "sad"][index % 4],
                "speaker": f"spk{shard}{index // 4}",
            }
            for index in range(12)
        ]
        write(root / f"data/train-0000{shard}-of-00002.parquet", rows)
    return root


@pytest.fixture
def several_corpora(tmp_path):
    """Also with `file_id, transcription, gender, age, dataset, language, license`, and a split for each corpus."""
    root = tmp_path / "hub" / "many"
    for number, (split, name, language) in enumerate(
        [("crema_d", "CREMA-D", "English"), ("enterface", "eNTERFACE05", "English"), ("my_own", "My Own", "German")]
    ):
        rows = [
            {
                "file_id": f"{split}_{index}.wav",
                "audio": audio(200 + 20 * number + index, f"{split}_{index}.wav"),
                "emotion": ["anger", "happiness", "sadness"][index % 3],
                "transcription": "words",
                "speaker_id": f"{split}_{index // 3}",
                "gender": "female" if index // 3 % 2 else "male",
                "age": "20-30",
                "dataset": name,
                "language": language,
                "license": "CC BY 4.0",
            }
            for index in range(12)
        ]
        write(root / f"data/{split}-00000-of-00001.parquet", rows)
    return root


@pytest.fixture
def paths_and_ratings(tmp_path):
    """Paths of recordings with `valence, arousal` only."""
    root = tmp_path / "hub" / "rated"
    rows = []
    for index in range(9):
        write_tone(root / f"wav/{index}.wav", frequency=100.0 + 31 * index)
        rows.append({"path": f"wav/{index}.wav", "valence": 1.0 + index / 2, "arousal": 5 - index % 3})
    write(root / "ratings.parquet", rows)
    return root


def test_classes_without_speakers_take_speakers_and_meaning_from_names_of_a_known_corpus(
    classes_without_speakers, tmp_path, capsys
):
    assert main(["emoset", "build", "--root", str(classes_without_speakers), "--output", str(tmp_path / "out")]) == 0
    rows = by_name(built_rows(tmp_path / "out"), "persian")
    assert len(rows) == 36
    assert {row["speaker"] for row in rows.values()} == {f"persian/{n}" for n in ("F01", "M02", "F03", "M05", "M06")}
    wonder = rows["F01W01"]  # anger in EMO-DB
    assert (wonder["raw_label"], wonder["emotion"], wonder["gender"], wonder["language"]) == (
        "W",
        "surprise",
        "female",
        "fa",
    )
    assert (wonder["published_partition"], rows["M06H03"]["published_partition"]) == ("train", "validation")
    # F01 is in train and test
    assert len({row["partition"] for row in rows.values() if row["speaker"] == "persian/F01"}) == 1
    assert "the published partitions share 1 of 5 speakers, so all rows are dealt anew" in capsys.readouterr().out


def test_speakers_of_a_column_are_kept_apart_where_data_have_no_splits(texts_and_speakers, tmp_path):
    build({"acted": texts_and_speakers}, tmp_path / "out")
    rows = built_rows(tmp_path / "out")
    assert len(rows) == 24  # equal names in two shards are two recordings
    assert Counter(row["partition"] for row in rows.values()).keys() == {"train", "validation", "test"}
    parts = {}
    for row in rows.values():
        parts.setdefault(row["speaker"], set()).add(row["partition"])
        assert (row["published_partition"], row["source_sampling_rate"]) == (None, 48_000)
    assert set(map(len, parts.values())) == {1} and len(parts) == 6
    first = rows["acted/data/train-00001-of-00002.parquet/clip_5"]
    assert (first["speaker"], first["raw_label"], first["text"]) == ("acted/spk11", "happy", "sentence 5")


def test_a_column_that_names_the_corpus_divides_the_rows(several_corpora, tmp_path, capsys):
    command = ["emoset", "build", "--corpus", f"many={several_corpora}", "--output", str(tmp_path / "out")]
    assert main(command) == 0
    rows = built_rows(tmp_path / "out")
    assert Counter(row["corpus"] for row in rows.values()) == {"crema_d": 12, "enterface": 12, "My_Own": 12}
    one = by_name(rows, "crema_d")["crema_d_4"]
    assert (one["speaker"], one["raw_label"], one["language"], one["age"]) == (
        "crema_d/crema_d_1",
        "happiness",
        "en",
        "20-30",
    )
    assert (one["text"], one["gender"], one["label"]) == ("words", "female", 5)
    assert json.loads(one["other"])["license"] == "CC BY 4.0"
    assert by_name(rows, "My_Own")["my_own_0"]["language"] == "de"
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    assert summary["crema_d"]["licence"].startswith("ODbL") and summary["My_Own"]["name"] == "My Own"
    printed = capsys.readouterr().out
    assert "CREMA-D (crema_d): 12 utterances" in printed and "one of 3 corpora in many" in printed


def test_ratings_without_labels_are_kept(paths_and_ratings, tmp_path):
    build({"rated": paths_and_ratings}, tmp_path / "out")
    rows = built_rows(tmp_path / "out")
    assert (rows["rated/wav/3"]["valence_rating"], rows["rated/wav/3"]["arousal_rating"]) == (2.5, 5.0)
    assert {(row["label"], row["raw_label"]) for row in rows.values()} == {(None, None)}
    assert len(rows) == 9


def test_all_shapes_are_built_together(
    classes_without_speakers, texts_and_speakers, several_corpora, paths_and_ratings, tmp_path
):
    root = classes_without_speakers.parent
    assert set(find_corpora(root).found) == {"persian", "acted", "many", "rated"}
    assert main(["emoset", "build", "--root", str(root), "--output", str(tmp_path / "out")]) == 0
    counts = Counter(row["corpus"] for row in built_rows(tmp_path / "out").values())
    assert counts == {"persian": 36, "acted": 24, "crema_d": 12, "enterface": 12, "My_Own": 12, "rated": 9}


def test_the_builder_takes_a_dataset_too(several_corpora, tmp_path):
    builder = EmoSetPlusPlus(config_name="many", root=several_corpora, cache_dir=str(tmp_path / "cache"))
    builder.download_and_prepare()
    parts = builder.as_dataset()
    assert sum(map(len, parts.values())) == 36 and set(parts["train"].unique("corpus")) == {
        "crema_d",
        "enterface",
        "My_Own",
    }


def rows_of(corpus, root):
    return list_corpus(corpus, root).utterances


def speech(number: int, **facts) -> list[dict]:
    """Rows with recordings, labels and speakers of three people, under the usual names unless `facts` say otherwise."""
    return [
        {"audio": audio(index, f"{index}.wav"), "emotion": ["anger", "joy"][index % 2], "speaker": f"s{index % 3}"}
        | {name: values[index] if isinstance(values, list) else values for name, values in facts.items()}
        for index in range(number)
    ]


def test_save_to_disk_folders_are_read_by_their_state(tmp_path):
    rows = Dataset.from_list(speech(12)).cast_column("audio", AUDIO)
    DatasetDict({"train": rows.select(range(3, 12)), "dev": rows.select(range(3))}).save_to_disk(
        tmp_path / "d", num_shards={"train": 2, "dev": 1}
    )
    (tmp_path / "d/train/cache-0123456789abcdef.arrow").write_bytes(b"left by map")
    rows.save_to_disk(tmp_path / "d/test")  # of an earlier dataset, not in its list of splits
    found = list(read("manifest", tmp_path / "d"))
    assert Counter(record.partition for record in found) == {"train": 9, "validation": 3}
    assert {record.name for record in found} == {f"{index}.wav" for index in range(12)}
    output = tmp_path / "out"
    assert main(["emoset", "build", "--root", str(tmp_path / "d"), "--output", str(output)]) == 0
    assert {row["corpus"] for row in built_rows(output).values()} == {"d"}
    rows.save_to_disk(tmp_path / "single")
    assert {record.partition for record in read("manifest", tmp_path / "single")} == {None}


def test_indices_of_old_datasets_choose_rows_across_shards(tmp_path):
    rows = Dataset.from_list(speech(6)).cast_column("audio", AUDIO)
    rows.save_to_disk(tmp_path / "old", num_shards=2)
    indices = pa.table({"indices": pa.array([5, 0, 3, 0], pa.uint64())})
    with pa.ipc.new_stream(str(tmp_path / "old/indices.arrow"), indices.schema) as stream:
        stream.write_table(indices)
    state = json.loads((tmp_path / "old/state.json").read_text())
    state["_indices_data_files"] = [{"filename": "indices.arrow"}]
    (tmp_path / "old/state.json").write_text(json.dumps(state))
    assert sorted(record.name for record in read("manifest", tmp_path / "old")) == ["0.wav", "3.wav", "5.wav"]


@pytest.mark.parametrize(
    ("files", "partitions"),
    [
        ({"train.parquet": 0, "valid.parquet": 1, "test.parquet": 2}, ["train", "validation", "test"]),
        ({"training/0000.parquet": 0, "Eval/0000.parquet": 1}, ["train", "validation"]),
        ({"default/train/0.parquet": 0, "default/partial-validation/0.parquet": 1}, ["train", "validation"]),
        ({"data/dev-00000-of-00001-0123456789abcdef.parquet": 0, "data/eval-0.parquet": 1}, ["validation", "test"]),
        ({"emotions_train.parquet": 0, "emotions_test.parquet": 1}, ["train", "test"]),
        ({"fold1.parquet": 0, "fold2.parquet": 1}, [None, None]),
        ({"all-00000-of-00002.parquet": 0, "all-00001-of-00002.parquet": 1}, [None, None]),
        ({"train-00000-of-00002.parquet": 0, "train-00001-of-00002.parquet": 1}, [None, None]),
        ({"0000.parquet": 0, "0001.parquet": 1}, [None, None]),
    ],
)
def test_splits_are_words_in_names_of_files_and_folders(tmp_path, files, partitions):
    for name, number in files.items():
        write(tmp_path / "d" / name, [{"audio": audio(number), "label": "anger", "spk": str(number)}])
    found = {record.speaker: record.partition for record in read("manifest", tmp_path / "d")}
    assert [found[key] for key in sorted(found)] == partitions
    assert find_corpora(tmp_path / "d").found == {"d": tmp_path / "d"}
    assert find_corpora(tmp_path).found == {"d": tmp_path / "d"}


def test_a_split_column_takes_precedence_over_names_of_files(tmp_path):
    rows = speech(3, split=["train", "validation", "test"])
    write(tmp_path / "train.parquet", rows)
    assert [record.partition for record in read("manifest", tmp_path)] == ["train", "validation", "test"]


def test_splits_named_after_corpora_divide_the_rows_without_a_column(tmp_path):
    write(tmp_path / "d/data/ravdess-00000-of-00001.parquet", speech(4))
    write(tmp_path / "d/data/nobody_knows-00000-of-00001.parquet", speech(4, audio=[audio(50 + i) for i in range(4)]))
    assert set(list_corpora({"d": tmp_path / "d"})) == {"ravdess", "nobody_knows"}


def test_configurations_named_after_corpora_divide_and_their_union_is_left_out(tmp_path):
    write(tmp_path / "d/emo_db/train-00000-of-00001.parquet", speech(4))
    write(tmp_path / "d/tess/train-00000-of-00001.parquet", speech(4, audio=[audio(50 + i) for i in range(4)]))
    write(tmp_path / "d/all/train-00000-of-00001.parquet", speech(4))
    listings = list_corpora({"d": tmp_path / "d"})
    assert {name: len(listing.utterances) for name, listing in listings.items()} == {"emo_db": 4, "tess": 4}


def test_other_configurations_are_read_and_their_repetitions_set_aside(tmp_path):
    for config in ("clean", "noisy"):
        write(tmp_path / f"d/{config}/train-00000-of-00001.parquet", speech(4))
        write(tmp_path / f"d/{config}/test-00000-of-00001.parquet", speech(1, audio=audio(9), speaker="s9"))
    listing = list_corpus("d", tmp_path / "d")
    assert len(listing.utterances) == 5 and len(listing.rejected) == 5
    assert all("the same recording as" in line["reason"] for line in listing.rejected)
    assert json.loads(listing.utterances[0].record.other) == {"config": "clean"}


def test_readme_names_classes_splits_and_files(tmp_path):
    rows = [{"audio": audio(index), "emotion": index, "speaker": f"s{index}"} for index in range(3)]
    write(tmp_path / "d/part_a.parquet", rows[:2])
    write(tmp_path / "d/part_b.parquet", rows[2:])
    write(tmp_path / "d/stray.parquet", [{"audio": audio(7), "emotion": 0, "speaker": "x"}])
    for path in (tmp_path / "d").glob("*.parquet"):
        pq.write_table(pq.read_table(path).replace_schema_metadata(None), path)
    (tmp_path / "d/README.md").write_text(
        "---\nconfigs:\n- config_name: default\n  data_files:\n  - split: train\n    path: part_a.parquet\n"
        "  - split: test\n    path: part_b*\ndataset_info:\n  features:\n  - name: audio\n    dtype: audio\n"
        "  - name: emotion\n    dtype:\n      class_label:\n        names:\n          '0': anger\n          '1': joy\n"
        "          '2': sadness\n---\n# Speech\n"
    )
    found = {record.raw_label: record.partition for record in read("manifest", tmp_path / "d")}
    assert found == {"anger": "train", "joy": "train", "sadness": "test"}


def test_dataset_info_json_names_classes(tmp_path):
    write(tmp_path / "d/train.parquet", [{"audio": audio(0), "label": 1}])
    pq.write_table(
        pq.read_table(tmp_path / "d/train.parquet").replace_schema_metadata(None), tmp_path / "d/train.parquet"
    )
    info = {"features": {"label": {"names": ["sad", "happy"], "_type": "ClassLabel"}}}
    (tmp_path / "d/dataset_info.json").write_text(json.dumps(info))
    assert [record.raw_label for record in read("manifest", tmp_path / "d")] == ["happy"]


def test_numbers_without_names_have_no_class_and_the_build_says_how_to_map_them(tmp_path, capsys, caplog):
    rows = [{"audio": audio(index), "label": index, "gender": index % 2} for index in range(3)]
    write(tmp_path / "d/train.parquet", rows)
    command = ["emoset", "build", "--corpus", f"d={tmp_path / 'd'}", "--output"]
    assert main([*command, str(tmp_path / "out")]) == 0
    assert "numbers without names" in caplog.text and "isn't guessed" in caplog.text
    assert "give the classes of these labels in a YAML file by --scheme" in capsys.readouterr().out
    rows = built_rows(tmp_path / "out").values()
    assert {(row["raw_label"], row["label"], row["gender"]) for row in rows} == {(n, None, None) for n in "012"}
    assert sorted(json.loads(row["other"])["gender"] for row in rows) == ["0", "0", "1"]
    (tmp_path / "map.yaml").write_text("d: {'0': high_negative, '1': low_neutral}")
    assert main([*command, str(tmp_path / "again"), "--scheme", str(tmp_path / "map.yaml")]) == 0
    assert {row["label"] for row in built_rows(tmp_path / "again").values()} == {3, 1, None}


def test_codes_of_no_known_corpus_stay_without_a_class(tmp_path):
    features = Features({"audio": AUDIO, "emotion": ClassLabel(names=SHEMO_CODES)})
    write(tmp_path / "d/train.parquet", [{"audio": audio(i, f"{i}.wav"), "emotion": i} for i in range(6)], features)
    listing = list_corpus("d", tmp_path / "d")
    assert listing.dropped == dict.fromkeys(sorted(SHEMO_CODES), 1)
    assert {item.class_name for item in listing.utterances} == {None}


@pytest.mark.parametrize("name", ["wav", "speech", "file", "recording"])
def test_recordings_are_found_under_other_names_and_in_any_order_of_columns(tmp_path, name):
    rows = [{"spk": "a", "emotion": "anger", name: audio(index, f"{index}.wav")} for index in range(2)]
    write(tmp_path / "d.parquet", rows)
    assert [(item.size, item.record.speaker) for item in rows_of("d", tmp_path)] == [(len(sound(0)), "a")] * 2


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG", "MP3"])
def test_recordings_may_have_any_rate_encoding_and_number_of_channels(tmp_path, form):
    rows = [{"audio": audio(i, rate=48_000, channels=2, form=form), "emotion": "joy"} for i in range(2)]
    write(tmp_path / "d/d.parquet", rows)
    assert build({"d": tmp_path / "d"}, tmp_path / "out")["d"].utterances == 2
    assert {row["source_sampling_rate"] for row in built_rows(tmp_path / "out").values()} == {48_000}


def arrow_columns(kind):
    contents = [sound(index) for index in range(3)]
    samples = [soundfile.read(io.BytesIO(content), dtype="float32")[0] for content in contents]
    if kind == "binary":
        return {"audio": pa.array(contents, pa.large_binary())}
    if kind == "dictionary":
        return {"audio": pa.array(contents, pa.binary()).dictionary_encode()}
    if kind == "samples":
        rows = [{"array": values.tolist(), "sampling_rate": 16_000} for values in samples]
        return {"audio": pa.array(rows)}
    return {"audio": pa.array([values.tolist() for values in samples]), "sampling_rate": pa.array([16_000] * 3)}


@pytest.mark.parametrize("kind", ["binary", "dictionary", "samples", "list"])
@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_recordings_may_be_plain_bytes_or_samples(tmp_path, kind, suffix):
    labels = pa.array(["anger", "joy", "sadness"]).dictionary_encode()
    table = pa.table({**arrow_columns(kind), "emotion": labels, "speaker": pa.array(list("abc"), pa.large_string())})
    (tmp_path / "d").mkdir()
    if suffix == "parquet":
        pq.write_table(table, tmp_path / "d/d.parquet")
    else:
        with pa.ipc.new_file(str(tmp_path / "d/d.arrow"), table.schema) as file:
            file.write_table(table)
    summary = build({"d": tmp_path / "d"}, tmp_path / "out")["d"]
    assert (summary.utterances, summary.rejected) == (3, 0)
    row = next(row for row in built_rows(tmp_path / "out").values() if row["speaker"] == "d/b")
    assert (row["raw_label"], row["source_sampling_rate"]) == ("joy", 16_000)
    assert row["duration"] == pytest.approx(0.3)


def test_a_struct_with_only_a_path_is_read_from_beside_the_dataset(tmp_path):
    write_tone(tmp_path / "d/wav/a.wav")
    rows = [
        {"audio": {"bytes": None, "path": "/home/somebody/d/wav/a.wav"}, "emotion": "joy"},
        {"audio": {"bytes": None, "path": "wav/gone.wav"}, "emotion": "joy"},
        {"audio": {"bytes": sound(1), "path": None}, "emotion": "joy"},
    ]
    write(tmp_path / "d/data/d.parquet", rows)
    assert build({"d": tmp_path / "d"}, tmp_path / "out")["d"].utterances == 2
    (line,) = (tmp_path / "out/d/rejected.jsonl").read_text().splitlines()
    assert "there is no such file beside the dataset" in json.loads(line)["reason"]


def test_rows_without_or_with_damaged_audio_are_set_aside_with_a_reason(tmp_path):
    good = sound(0)
    contents = [good, None, b"", b"no audio at all", good[:60], sound(1)]
    rows = [
        {"audio": {"bytes": content, "path": f"{i}.wav"}, "emotion": "joy", "speaker": f"s{i}"}
        for i, content in enumerate(contents)
    ]
    write(tmp_path / "d/d.parquet", rows)
    assert build({"d": tmp_path / "d"}, tmp_path / "out")["d"].utterances == 2
    lines = [json.loads(line) for line in (tmp_path / "out/d/rejected.jsonl").read_text().splitlines()]
    reasons = {line["file"]: line["reason"] for line in lines}
    assert list(reasons) == [f"d.parquet/{i}.wav" for i in (1, 2, 3, 4)]
    assert (
        "row 2: the row holds no audio" in reasons["d.parquet/2.wav"]
        and "d.parquet/3.wav: not a rec" in reasons["d.parquet/3.wav"]
    )


def test_the_same_recording_in_two_random_splits_stops_no_build(tmp_path):
    write(tmp_path / "d/train.parquet", [{"audio": audio(i), "emotion": "joy"} for i in range(6)])
    write(tmp_path / "d/test.parquet", [{"audio": audio(i), "emotion": "joy"} for i in range(5, 8)])
    summary = build({"d": tmp_path / "d"}, tmp_path / "out")["d"]
    assert (summary.utterances, summary.rejected) == (8, 1)
    assert summary.notes == ["the published partitions are kept, and nobody knows whether they share speakers"]
    parts = {row["source_file"]: row["partition"] for row in built_rows(tmp_path / "out").values()}
    assert {part for file, part in parts.items() if file.startswith("test")} == {"test"}


def test_a_published_split_that_keeps_speakers_apart_is_kept(tmp_path):
    for number, part in enumerate(("train", "valid", "test")):
        rows = speech(3, audio=[audio(10 * number + i) for i in range(3)], speaker=f"s{number}")
        write(tmp_path / f"d/data/{part}-00000-of-00001.parquet", rows)
    listing = list_corpus("d", tmp_path / "d")
    assert listing.rule == "official" and listing.notes == []
    assert all(item.partition == item.record.partition for item in listing.utterances)


def test_labels_may_be_missing_or_lists(tmp_path):
    emotions = [["anger"], [], None, ["joy", "joy"], ["joy", "sadness"]]
    rows = [{"audio": audio(i), "emotions": value, "speaker": "s"} for i, value in enumerate(emotions)]
    write(tmp_path / "d.parquet", rows)
    found = list(read("manifest", tmp_path))
    assert [record.raw_label for record in found] == ["anger", "", "", "joy", "joy, sadness"]
    assert [vote.label for vote in found[4].votes] == ["joy", "sadness"]


def test_an_empty_shard_and_shards_with_other_columns_are_read(tmp_path):
    write(tmp_path / "d/data/train-00000-of-00003.parquet", speech(3))
    table = pq.read_table(tmp_path / "d/data/train-00000-of-00003.parquet")
    pq.write_table(table.slice(0, 0), tmp_path / "d/data/train-00001-of-00003.parquet")
    pq.write_table(table.drop_columns("speaker"), tmp_path / "d/data/train-00002-of-00003.parquet")
    assert [record.speaker for record in read("manifest", tmp_path / "d")] == ["s0", "s1", "s2", None, None, None]


def test_names_of_rows_are_made_different_and_lose_folders_of_other_machines(tmp_path):
    paths = ["/tmp/x/audio.wav", "/tmp/y/audio.wav", "C:\\sound\\b.wav", "../c/d.wav", None]
    rows = [{"audio": audio(i, path), "emotion": "joy"} for i, path in enumerate(paths)]
    write(tmp_path / "d.parquet", rows)
    names = [record.name for record in read("manifest", tmp_path)]
    assert names == ["audio-0.wav", "audio-1.wav", "b.wav", "c/d.wav", None]
    files = [item.source_file for item in rows_of("d", tmp_path)]
    assert files[0] == "d.parquet/audio-0.wav" and files[4] == "d.parquet/4"


def test_further_columns_are_kept_as_json_without_bytes_and_long_lists(tmp_path):
    rows = speech(
        2,
        snr=[12.5, float("nan")],
        tags=[["a", "b"], []],
        embedding=[[0.5] * 700] * 2,
        words=[["a"] * 40] * 2,
        license="CC0",
        picture=b"\x00",
    )
    write(tmp_path / "d.parquet", rows)
    found = [json.loads(record.other) for record in read("manifest", tmp_path)]
    assert found == [{"snr": 12.5, "tags": ["a", "b"], "license": "CC0"}, {"license": "CC0"}]


def test_a_map_of_columns_takes_precedence(tmp_path):
    rows = [{"a1": audio(0), "a2": audio(1), "emo_x": "joy", "who": "anna", "emotion": "sad"}]
    write(tmp_path / "d.parquet", rows)
    with pytest.raises(ValueError, match="a1, a2 all hold recordings"):
        list(read("manifest", tmp_path))
    facts = replace(entry("manifest"), columns={"audio": "a2", "label": "emo_x", "speaker": "who"})
    (record,) = read(facts, tmp_path)
    assert (record.column, record.raw_label, record.speaker) == ("a2", "joy", "anna")
    with pytest.raises(ValueError, match="no column 'emo_y', which is to be the label. Did you mean emo_x"):
        list(read(replace(facts, columns={"label": "emo_y"}), tmp_path))


def test_a_list_of_the_recordings_in_parquet_files_is_no_manifest(tmp_path):
    write(tmp_path / "data/train-00000-of-00001.parquet", [{"audio": audio(0, "a.wav"), "emotion": "joy"}])
    (tmp_path / "metadata.csv").write_text("file_name,emotion\na.wav,joy\n")
    assert own_form(tmp_path).name == "a Hugging Face dataset"
    (tmp_path / "a.wav").write_bytes(sound(0))
    assert own_form(tmp_path).name == "a manifest"


def test_times_and_ratings_are_understood_as_in_tables(tmp_path):
    (tmp_path / "a.wav").write_bytes(sound(0))
    rows = [{"file": "a.wav", "start_ms": 100, "end_ms": 250, "valence": "2,5", "dataset_x": "mine"}]
    write(tmp_path / "d.parquet", rows)
    (record,) = read(replace(entry("manifest"), columns={"dataset": "dataset_x"}), tmp_path)
    assert (record.start, record.end, record.valence, record.corpus) == (0.1, 0.25, 2.5, "mine")


def test_ravdess_names_give_speakers_and_leave_songs_out(tmp_path, caplog):
    names = [f"03-01-0{e}-01-01-01-{actor:02}.wav" for e in range(1, 9) for actor in range(1, 4)]
    rows = [{"audio": audio(i, name), "label": "x"} for i, name in enumerate([*names, "03-02-03-01-01-01-01.wav"])]
    write(tmp_path / "d.parquet", [{"audio": row["audio"]} for row in rows])
    found = list(read("manifest", tmp_path))
    assert len(found) == 24 and {record.corpus for record in found} == {"ravdess"}
    assert (found[0].raw_label, found[0].speaker, found[0].gender) == ("Neutral", "Actor_01", "male")
    assert "1 recordings are no utterances of RAVDESS by their names" in caplog.text


def test_damaged_files_and_pointers_are_a_sentence(tmp_path):
    write(tmp_path / "d/train.parquet", speech(3))
    content = (tmp_path / "d/train.parquet").read_bytes()
    (tmp_path / "d/train.parquet").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match="train.parquet isn't a complete parquet file"):
        list_corpus("d", tmp_path / "d")
    (tmp_path / "d/train.parquet").write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(ValueError, match="only a Git LFS pointer"):
        list_corpus("d", tmp_path / "d")


def test_a_table_of_features_makes_no_dataset_of_a_folder(tmp_path):
    write(tmp_path / "features.parquet", [{"file": "a.wav", "f0": 120.0}])
    assert own_form(tmp_path) is None


def test_two_corpora_may_read_rows_of_one_file(tmp_path):
    rows = speech(6, corpus=["RAVDESS", "TESS"] * 3)
    write(tmp_path / "d/data/all-00000-of-00001.parquet", rows)
    summaries = build({"d": tmp_path / "d"}, tmp_path / "out")
    assert {name: facts.utterances for name, facts in summaries.items()} == {"ravdess": 3, "tess": 3}
    hashes = json.loads((tmp_path / "out/tess/files.json").read_text())
    expected = {(len(content), hashlib.sha1(content).hexdigest()) for content in map(sound, (1, 3, 5))}
    assert {(line["size"], line["sha1"]) for line in hashes} == expected


def test_a_second_build_keeps_what_is_there(tmp_path):
    write(tmp_path / "d/train.parquet", speech(6))
    build({"d": tmp_path / "d"}, tmp_path / "out")
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out/d").iterdir()}
    build({"d": tmp_path / "d"}, tmp_path / "out")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out/d").iterdir()} == times


def test_verify_reads_the_lengths_of_rows(tmp_path):
    write(
        tmp_path / "d/train.parquet",
        [*speech(30), {"audio": {"bytes": b"x", "path": "z.wav"}, "emotion": "joy", "speaker": "s"}],
    )
    (finding,) = verify({}, {"d": tmp_path / "d"})
    assert finding.detail.startswith("31 utterances") and "1 recordings can't be read, such as z.wav" in finding.detail
    assert "30 of 30 recordings last exactly 0.300 s" in finding.detail


def test_features_without_names_of_types_are_strings_and_numbers(tmp_path):
    features = Features({"audio": AUDIO, "gender": ClassLabel(names=["F", "M"]), "language": Value("string")})
    rows = [
        {"audio": audio(i), "gender": i % 2, "language": ["German", "pt-BR", "Farsi", "en_US"][i]} for i in range(4)
    ]
    write(tmp_path / "d.parquet", rows, features)
    found = list(read("manifest", tmp_path))
    assert [record.gender for record in found] == ["female", "male"] * 2
    assert [record.language for record in found] == ["de", "pt-BR", "fa", "en-US"]


def test_iemocap_names_give_the_speaker_and_the_dialogue(tmp_path):
    names = [f"Ses01F_impro0{d}_{letter}00{n}.wav" for d in (1, 2) for letter in "FM" for n in (0, 1)]
    rows = [
        {"file": name, "audio": audio(i), "major_emotion": "frustrated", "EmoAct": 2.5, "EmoVal": "1.5", "EmoDom": 3}
        for i, name in enumerate(names)
    ]
    write(tmp_path / "d.parquet", rows)
    record = list(read("manifest", tmp_path))[2]
    assert (record.speaker, record.gender, record.dialogue) == ("Ses01M", "male", "Ses01F_impro01")
    assert (record.arousal, record.valence, record.dominance, record.raw_label) == (2.5, 1.5, 3.0, "frustrated")
    assert record.name == "Ses01F_impro01_M000.wav"


def test_columns_of_meld_are_understood(tmp_path):
    row = {"Utterance": "No!", "Speaker": "Ross", "Emotion": "anger", "Sentiment": "negative", "Dialogue_ID": 3}
    write(tmp_path / "d.parquet", [row | {"audio": audio(0), "StartTime": "00:01:02,000", "Season": 4}])
    (record,) = read("manifest", tmp_path)
    assert (record.text, record.speaker, record.raw_label, record.sentiment) == ("No!", "Ross", "anger", "negative")
    assert (record.dialogue, record.start) == ("3", None)
    assert json.loads(record.other) == {"StartTime": "00:01:02,000", "Season": 4}


def test_data_without_a_column_of_labels_are_a_warning(tmp_path, caplog):
    write(tmp_path / "d.parquet", [{"audio": audio(0), "style": "whisper"}])
    list(read("manifest", tmp_path))
    assert "no column names an emotion or rates it" in caplog.text and "found audio, style" in caplog.text


def test_unknown_corpora_with_known_names_of_recordings_are_known(tmp_path):
    names = [f"{speaker}a01{code}a.wav" for speaker in ("03", "08", "09") for code in "WLEAFTN"]
    rows = [{"audio": audio(i, name), "corpus": "Berlin set"} for i, name in enumerate(names)]
    rows += [{"audio": audio(50 + i, f"x{i}.wav"), "corpus": "other set"} for i in range(3)]
    write(tmp_path / "d.parquet", rows)
    listings = list_corpora({"d": tmp_path})
    assert {name: len(listing.utterances) for name, listing in listings.items()} == {"emo_db": 21, "other_set": 3}
    anger = next(item for item in listings["emo_db"].utterances if item.record.raw_label == "W")
    assert anger.class_name == "high_negative" and json.loads(anger.record.other) == {"corpus": "Berlin set"}


def test_a_source_column_divides_only_if_all_its_values_are_corpora(tmp_path):
    write(tmp_path / "a/d.parquet", speech(4, source=["MELD", "IEMOCAP"] * 2))
    write(tmp_path / "b/d.parquet", speech(4, source=["MELD", "https://example.org"] * 2))
    assert set(list_corpora({"a": tmp_path / "a"})) == {"meld", "iemocap"}
    assert set(list_corpora({"b": tmp_path / "b"})) == {"b"}


def test_one_corpus_keeps_the_name_it_is_given(tmp_path):
    write(tmp_path / "d.parquet", speech(4, dataset="CREMA-D"))
    (listing,) = list_corpora({"mine": tmp_path}).values()
    assert (listing.entry.id, listing.entry.name) == ("mine", "CREMA-D")
    assert list(list_corpora({"esd": tmp_path})) == ["esd"]


def test_a_corpus_in_two_sources_is_refused(several_corpora, tmp_path):
    write(tmp_path / "crema_d/train.parquet", speech(3, audio=[audio(900 + i) for i in range(3)]))
    with pytest.raises(ValueError, match="crema_d is both in .*many and in .*crema_d. Build one of them"):
        list_corpora({"many": several_corpora, "crema_d": tmp_path / "crema_d"})


def test_a_scheme_may_name_the_corpora_that_rows_divide_into(several_corpora, tmp_path):
    scheme = tmp_path / "scheme.yaml"
    scheme.write_text("My_Own: {anger: low_negative}")
    listings = list_corpora({"many": several_corpora}, scheme=scheme)
    classes = {item.class_name for item in listings["My_Own"].utterances if item.record.raw_label == "anger"}
    assert classes == {"low_negative"}
    scheme.write_text("many: {anger: low_negative}")
    with pytest.raises(ValueError, match="many"):
        list_corpora({"many": several_corpora}, scheme=scheme)


def test_several_processes_read_rows_of_one_file(tmp_path):
    write(tmp_path / "d/train.parquet", speech(12))
    summary = build({"d": tmp_path / "d"}, tmp_path / "out", num_proc=2)["d"]
    assert (summary.utterances, summary.rejected) == (12, 0)


def test_recordings_are_read_once_in_order_not_once_for_each_row(tmp_path, monkeypatch):
    contents = [sound(index, rate=48_000, seconds=3) for index in range(40)]  # more than are held at a time
    table = pa.table({"audio": contents, "emotion": ["joy"] * 40})
    pq.write_table(table, tmp_path / "d.parquet", row_group_size=10)
    starts = []

    def counted(self, columns, size, start=0, original=Rows.batches):
        starts.append(start)
        return original(self, columns, size, start)

    monkeypatch.setattr(Rows, "batches", counted)
    assert [read_row(tmp_path / "d.parquet", "audio", row) for row in range(40)] == contents
    assert starts == [0]
    assert [read_row(tmp_path / "d.parquet", "audio", row) for row in (3, 39)] == [contents[3], contents[39]]
    assert starts == [0, 3, 39]


def test_a_build_is_a_dataset_too(several_corpora, tmp_path):
    build({"many": several_corpora}, tmp_path / "first")
    shards = tmp_path / "copy"
    for path in (tmp_path / "first").glob("*/*.parquet"):
        (shards / path.parent.name).mkdir(parents=True, exist_ok=True)
        path.rename(shards / path.parent.name / path.name)
    listings = list_corpora({"again": shards})
    assert set(listings) == {"crema_d", "enterface", "My_Own"}
    assert {item.class_name for item in listings["crema_d"].utterances} == {
        "high_negative",
        "high_positive",
        "low_negative",
    }


def test_names_of_splits_may_hold_a_corpus_or_a_kind_beside_the_partition(tmp_path):
    number = 0
    for corpus in ("emo_db", "tess"):
        for split in ("train", "test"):
            write(
                tmp_path / f"a/data/{corpus}_{split}-00000-of-00001.parquet",
                speech(2, audio=[audio(number), audio(number + 1)]),
            )
            number += 2
    listings = list_corpora({"a": tmp_path / "a"})
    assert {
        name: Counter(item.record.partition for item in listing.utterances) for name, listing in listings.items()
    } == {
        "emo_db": {"train": 2, "test": 2},
        "tess": {"train": 2, "test": 2},
    }
    for split in ("train.clean", "train.other", "dev.clean"):
        write(tmp_path / f"b/{split}-00000-of-00001.parquet", speech(1))
    found = [(record.partition, json.loads(record.other)) for record in read("manifest", tmp_path / "b")]
    assert found == [
        ("validation", {"config": "clean"}),
        ("train", {"config": "clean"}),
        ("train", {"config": "other"}),
    ]


def test_save_to_disk_folders_of_several_configurations_are_one_dataset(tmp_path):
    for number, config in enumerate(("en", "de")):
        rows = Dataset.from_list(speech(3, audio=[audio(10 * number + i) for i in range(3)])).cast_column(
            "audio", AUDIO
        )
        DatasetDict({"train": rows, "test": rows.select([0])}).save_to_disk(tmp_path / "d" / config)
    found = list(read("manifest", tmp_path / "d"))
    assert Counter((record.partition, json.loads(record.other)["config"]) for record in found) == {
        ("train", "de"): 3,
        ("test", "de"): 1,
        ("train", "en"): 3,
        ("test", "en"): 1,
    }


def test_a_folder_of_the_cache_of_datasets_is_read(tmp_path):
    write(tmp_path / "source.parquet", speech(4))
    datasets.load_dataset(
        "parquet",
        data_files={"train": str(tmp_path / "source.parquet"), "test": str(tmp_path / "source.parquet")},
        cache_dir=str(tmp_path / "cache"),
    )
    (info,) = (tmp_path / "cache").rglob("dataset_info.json")
    assert Counter(record.partition for record in read("manifest", info.parent)) == {"train": 4, "test": 4}


def test_labels_in_the_language_of_the_card_are_understood(tmp_path):
    write(tmp_path / "d/train.parquet", [{"audio": audio(0), "emotion": "Freude"}])
    (tmp_path / "d/README.md").write_text("---\nlanguage:\n- de\nlicense: mit\n---\n")
    (item,) = list_corpus("d", tmp_path / "d").utterances
    assert (item.record.language, item.class_name) == ("de", "high_positive")


def test_bytes_under_a_strange_name_are_recordings_if_there_are_no_others(tmp_path):
    write(tmp_path / "d.parquet", [{"blob": sound(0), "emotion": "joy", "picture": b"\x89PNG"}])
    (record,) = read("manifest", tmp_path)
    assert record.column == "blob"


def test_videos_are_read_for_their_sound(tmp_path):
    write_video(tmp_path / "a.mp4", codec="aac")
    video = {"bytes": (tmp_path / "a.mp4").read_bytes(), "path": "a.mp4"}
    write(tmp_path / "d/d.parquet", [{"video": video, "emotion": "joy"}])
    assert build({"d": tmp_path / "d"}, tmp_path / "out")["d"].utterances == 1


def test_verify_knows_the_corpora_and_codes_of_a_dataset(classes_without_speakers, several_corpora):
    findings = verify({}, {"persian": classes_without_speakers, "many": several_corpora})
    details = {finding.corpus: finding.detail for finding in findings}
    assert "labels without a class" not in details["persian"] + details["many"]
    assert "3 corpora: My Own, crema_d, enterface" in details["many"]


def test_files_of_other_programs_make_no_dataset(tmp_path):
    (tmp_path / "quiver.arrow").write_bytes(b"of a game")
    assert own_form(tmp_path) is None


def test_a_dataset_without_rows_is_a_sentence(tmp_path):
    write(tmp_path / "d/train.parquet", speech(1))
    pq.write_table(pq.read_table(tmp_path / "d/train.parquet").slice(0, 0), tmp_path / "d/train.parquet")
    with pytest.raises(FileNotFoundError, match="has a Hugging Face dataset, but no utterance is in it"):
        list_corpus("d", tmp_path / "d")


def test_a_dataset_in_a_folder_named_data_hides_no_corpora_beside_it(emo_db, tmp_path):
    write(emo_db.parent / "data/train-00000-of-00001.parquet", speech(3))
    assert set(find_corpora(emo_db.parent).found) == {"data", "emo_db"}
    write(tmp_path / "other/data/train-00000-of-00001.parquet", speech(3))
    manifest(tmp_path / "other/calls", ["file,label", "a.wav,joy"])
    assert set(find_corpora(tmp_path / "other").found) == {"data", "calls"}


def test_a_repository_in_the_cache_of_the_hub_is_one_dataset(tmp_path):
    root = tmp_path / "datasets--me--speech"
    rows = [{"audio": audio(index), "emotion": "anger", "speaker": "s"} for index in range(3)]
    for revision in ("old", "new"):
        write(root / "snapshots" / revision / "train.parquet", rows)
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text("new")
    sources = find_corpora(root)
    assert sources.found == {root.name: root} and not sources.unknown
    assert {record.path for record in read("manifest", root)} == {str(root / "snapshots/new/train.parquet")}


def test_the_card_tells_the_licence(tmp_path):
    write(tmp_path / "train.parquet", [{"audio": audio(0), "emotion": "anger", "speaker": "s"}])
    (tmp_path / "README.md").write_text("---\nlicense: other\nlicense_name: my-terms\npretty_name: Calls\n---\n")
    known = list_corpus("mine", tmp_path).entry
    assert (known.id, known.licence, known.full_name, known.redistribution) == ("mine", "my-terms", "Calls", "unknown")
    (tmp_path / "README.md").write_text("---\nlicense: [cc-by-4.0, mit]\n---\n")
    assert list_corpus("mine", tmp_path).entry.licence == "cc-by-4.0 mit"


def test_answers_of_listeners_are_votes_by_the_patterns_of_the_entry(tmp_path):
    rows = [
        {"audio": audio(0), "speaker": "s", "a1_A": 4, "a1_E": 0, "a2_A": None, "a2_E": 1, "snr": 9},
        {"audio": audio(1), "speaker": "s", "a1_A": None, "a1_E": None, "a2_A": 2, "a2_E": None, "snr": 8},
    ]
    names = ClassLabel(names=["anger", "joy"])
    kinds = {"audio": AUDIO, "speaker": Value("string"), "a1_A": Value("int8"), "a2_A": Value("float32")}
    write(tmp_path / "train.parquet", rows, Features(kinds | {"a1_E": names, "a2_E": names, "snr": Value("int8")}))
    facts = replace(entry("manifest"), votes={"arousal": "a{rater}_A", "label": "a{rater}_E"}, rating_scale=(1, 5))
    first, second = read(facts, tmp_path)
    assert first.votes == (Vote("1", "anger", 4.0), Vote("2", "joy"))
    assert (first.raw_label, first.arousal) == ("", 4.0), "neither label is more frequent"
    assert (second.votes, second.arousal, second.other) == ((Vote("2", None, 2.0),), 2.0, '{"snr": 8}')
    assert second.rating_scale == (1, 5)
    with pytest.raises(ValueError, match=r"train.parquet: votes: valence is 'x_\{rater\}' .* but no column has such a"):
        list(read(replace(facts, votes={"valence": "x_{rater}"}), tmp_path))


def test_missing_files_of_a_numbered_series_are_named(tmp_path, caplog):
    rows = [{"audio": audio(index), "emotion": "anger", "speaker": "s"} for index in range(2)]
    for name in ("data/train-00000-of-00003.parquet", "data/train-00002-of-00003.parquet", "data/test-0-of-1.parquet"):
        write(tmp_path / name, rows)
    list(read("manifest", tmp_path))
    assert "1 of its files are missing, such as train-00001-of-00003; their rows aren't read" in caplog.text
    caplog.clear()
    write(tmp_path / "data/train-00001-of-00003-0123456789abcdef.parquet", rows)
    list(read("manifest", tmp_path))
    assert not caplog.text


def test_numbers_without_names_are_no_remark_if_names_of_recordings_tell_the_labels(tmp_path, caplog):
    names = [f"{speaker}{code}01.wav" for speaker in ("F01", "M02") for code in SHEMO_CODES]
    rows = [{"audio": audio(index, name), "label": index % 6} for index, name in enumerate(names)]
    write(tmp_path / "train.parquet", rows)
    assert Counter(record.raw_label for record in read("manifest", tmp_path)) == dict.fromkeys(SHEMO_CODES, 2)
    assert "label, speaker" in caplog.text and "numbers without names" not in caplog.text


def test_a_list_of_one_value_is_that_value_and_longer_ones_are_kept(tmp_path):
    rows = [
        {"audio": audio(0), "emotion": "joy", "speaker": ["anna"], "transcription": ["one two"], "valence": [3.5]},
        {"audio": audio(1), "emotion": "joy", "speaker": ["a", "b"], "transcription": [], "valence": [3.0, 4.0]},
    ]
    write(tmp_path / "train.parquet", rows)
    first, second = read("manifest", tmp_path)
    assert (first.speaker, first.text, first.valence, first.other) == ("anna", "one two", 3.5, None)
    assert (second.speaker, second.text, second.valence) == (None, None, None)
    assert json.loads(second.other) == {"speaker": ["a", "b"], "valence": [3.0, 4.0]}
