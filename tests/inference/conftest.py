"""What the tests of this folder share."""

import json
import os
from collections import Counter
from pathlib import Path

import pytest

from exhubert import ExHuBERTForSequenceClassification, default_feature_extractor

from ..conftest import tiny_hubert, write_tone

NAMES = ['"quoted", ünï.wav', "line\nbreak.wav", r"back\xff\\slash.wav", os.fsdecode(b"bytes \xff\xe2\x80.wav")]


def saved_model(folder, shift: float = 0.0, **fields) -> str:
    model = ExHuBERTForSequenceClassification.from_hubert(tiny_hubert("pre_norm"), window_seconds=1.0, **fields)
    model.classifier.bias.data += shift
    model.save_pretrained(folder)
    default_feature_extractor(model.config).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    return saved_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def many(tmp_path_factory) -> Path:
    """Enough recordings to kill a rank at work on them."""
    folder = tmp_path_factory.mktemp("many")
    for number in range(100):
        write_tone(folder / f"{number:03}.wav", 1.5 + 0.01 * number)
    return folder


def results(output: Path) -> Counter:
    """How often each recording is in the files a user reads."""
    lines = [line for path in (output / "results").glob("*.jsonl") for line in path.read_bytes().splitlines()]
    return Counter(json.loads(line)["file"] for line in lines)
