"""Datasets are downloaded from a hub: only what is needed, once, and with a sentence where that fails."""

import subprocess
import sys

import pytest

from ..emoset.readers.test_huggingface import built_rows, speech, write
from .conftest import environment
from .hub_server import Repository


@pytest.fixture
def published(servers, tmp_path):
    """A hub on this machine with a dataset, beside files that no build needs."""
    write(tmp_path / "train.parquet", speech(6))
    content = (tmp_path / "train.parquet").read_bytes()
    repository = Repository(private=False)
    repository.files = {"data/train-00000-of-00001.parquet": content, "README.md": b"# Speech", "model.bin": b"x" * 99}
    servers[0].repositories["datasets/someone/speech"] = repository
    return servers[0]


def build(hub, name, folder):
    command = [sys.executable, "-m", "exhubert", "emoset", "build", "--corpus", f"mine={name}", "--output", "out"]
    folder.mkdir(exist_ok=True)
    env = environment(hub.address, folder.parent / "home")
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a_dataset_is_downloaded_once_and_only_its_tables(published, tmp_path):
    for folder in (tmp_path / "first", tmp_path / "second"):
        done = build(published, "hf://someone/speech", folder)
        assert done.returncode == 0, done.stderr
        assert len(built_rows(folder / "out")) == 6
    asked = [path for command, path, _ in published.seen if command == "GET" and "/resolve/" in path]
    assert sorted(path.rpartition("/")[2] for path in asked) == ["README.md", "train-00000-of-00001.parquet"]


def test_what_can_not_be_downloaded_is_a_sentence(published, tmp_path):
    missing = build(published, "someone/else", tmp_path / "a")
    assert missing.returncode == 1
    assert "neither a folder someone/else nor such a dataset on the hub" in missing.stderr
    published.repositories["datasets/someone/speech"].gated = True
    gated = build(published, "hf://someone/speech", tmp_path / "b")
    assert gated.returncode == 1 and "someone/speech: its terms must be accepted first" in gated.stderr
    assert "Traceback" not in gated.stderr + missing.stderr
