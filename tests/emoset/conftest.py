"""What the tests of this folder share."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ..conftest import write_tone

EMOTIONS = "WLEAFTN"
MOVED = {"train": "test", "test": "validation", "validation": "train"}  # another partition for each


@pytest.fixture
def emo_db(tmp_path):
    """A small EMO-DB: five speakers, seven emotions, real names, tones for voices."""
    root = tmp_path / "corpora" / "emo_db"
    for index, speaker in enumerate(("03", "08", "09", "10", "11")):
        for pitch, emotion in enumerate(EMOTIONS):
            name = f"wav/{speaker}a01{emotion}a.wav"
            write_tone(root / name, rate=22_050, frequency=150.0 + 10 * index + 40 * pitch)
    return root


def manifest(root, lines):
    root.mkdir(parents=True, exist_ok=True)
    (root / "manifest.csv").write_text("\n".join(lines) + "\n")
    return root


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def corpus(root, rows, header="file,label,speaker,language"):
    """A corpus of your own; each row is what follows the file name."""
    lines = [header]
    for index, row in enumerate(rows):
        write_tone(root / f"{index}.wav", frequency=150.0 + 11 * index + len(root.name))
        lines.append(f"{index}.wav,{row}")
    return manifest(root, lines)


def rate(folder, ratings, scale):
    """Replaces the labels of a built corpus by ratings of arousal and valence, row after row of all shards."""
    ratings = iter(ratings)
    for path in sorted(folder.glob("*.parquet")):
        table = pq.read_table(path)
        pairs = [next(ratings) for _ in range(len(table))]
        columns = {
            "raw_label": [None] * len(pairs),
            "emotion": [None] * len(pairs),
            "label": [None] * len(pairs),
            "arousal_rating": [arousal for arousal, _ in pairs],
            "valence_rating": [valence for _, valence in pairs],
            "rating_scale": [scale] * len(pairs),
        }
        for name, values in columns.items():
            index = table.schema.get_field_index(name)
            field = table.schema.field(index)
            table = table.set_column(index, field, pa.array(values, field.type))
        pq.write_table(table, path)


RATINGS = [(1, 1), (3, 2.9), (3.1, 3), (5, 3.2), (4.9, 5), (None, 4)]
