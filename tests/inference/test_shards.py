"""Shards: names that survive, lines that were half written."""

import json
import os
from collections import Counter
from pathlib import Path

import pytest

from exhubert import ExHuBERTForSequenceClassification, default_feature_extractor
from exhubert.cli.annotate import main
from exhubert.inference.annotation import read_annotations
from exhubert.inference.shards import escaped, unescaped

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


def test_escaped_names_are_told_apart_and_come_back():
    names = [*NAMES, "plain", "\udcff", r"\xff", r"\\xff", "\\", "\\\udcff", "\udce2\udc80\u2028"]
    assert len({escaped(name) for name in names}) == len(names)
    assert [unescaped(escaped(name).encode().decode()) for name in names] == names


def test_a_half_written_line_and_a_journal_already_finished_are_not_counted(model, many, tmp_path):
    """What a kill leaves between two writes, and between the shard and the removal of its journal."""
    command = [str(many), "--model", model, "--output", str(tmp_path / "out")]
    assert main(command) == 0
    whole = results(tmp_path / "out")
    shards = sorted((tmp_path / "out" / "results").iterdir())
    lines = shards[0].read_bytes().splitlines(keepends=True)
    shards[0].unlink()
    (tmp_path / "out" / "work" / shards[0].name).write_bytes(lines[0] + lines[1][:-20])
    (tmp_path / "out" / "work" / shards[1].name).write_bytes(shards[1].read_bytes())
    (tmp_path / "out" / "results" / (shards[0].name + ".incomplete")).write_bytes(lines[0])
    assert len(read_annotations(tmp_path / "out")) == 100 - len(lines) + 1
    assert main(command) == 0
    assert results(tmp_path / "out") == whole and set(whole.values()) == {1} and len(whole) == 100
