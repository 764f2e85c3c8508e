"""What the tests of this folder share."""

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
