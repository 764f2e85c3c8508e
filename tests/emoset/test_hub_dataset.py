"""Datasets of the hub, without a network: names, the cache, and what is said where neither helps."""

from pathlib import Path

import huggingface_hub
import pytest

from exhubert.cli.main import main
from exhubert.emoset import build
from exhubert.emoset.hub_dataset import is_hub_dataset, local_folder
from exhubert.emoset.sources import find_corpora

from .readers.test_huggingface import built_rows, speech, write

REVISION = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The cache of huggingface_hub with one dataset, laid out as a download leaves it."""
    repository = tmp_path / "cache" / "datasets--someone--speech"
    write(repository / "blobs/abc.parquet", speech(6))
    snapshot = repository / "snapshots" / REVISION
    (snapshot / "data").mkdir(parents=True)
    (snapshot / "data/train-00000-of-00001.parquet").symlink_to("../../../blobs/abc.parquet")
    (repository / "refs").mkdir()
    (repository / "refs/main").write_text(REVISION)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "cache"


def test_a_dataset_in_the_cache_of_the_hub_is_built_offline(cache, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(
        ("hf://someone/speech", "someone/speech", f"hf://datasets/someone/speech@{REVISION}")
    ):
        out = tmp_path / f"out{number}"
        assert main(["emoset", "build", "--corpus", f"mine={name}", "--output", str(out)]) == 0
        assert len(built_rows(out)) == 6
    (tmp_path / "corpora.yaml").write_text("mine: hf://someone/speech\n")
    found = find_corpora(tmp_path / "corpora.yaml").found["mine"]
    assert found == cache / "datasets--someone--speech/snapshots" / REVISION


def test_a_repository_in_the_cache_is_read_as_a_folder(cache, tmp_path):
    repository = cache / "datasets--someone--speech"
    write(repository / "snapshots/old/data/train-00000-of-00001.parquet", speech(3))
    assert find_corpora(cache).found == {"datasets--someone--speech": repository}
    assert build({"x": repository}, tmp_path / "out")["x"].utterances == 6


def test_a_dataset_that_is_neither_here_nor_reachable_is_a_sentence(cache, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["emoset", "build", "--corpus", "mine=someone/else", "--output", "out"]) == 1
    assert "no folder someone/else, and no dataset of this name in the cache" in capsys.readouterr().err
    with pytest.raises(ValueError, match="expected hf://owner/name"):
        local_folder("hf://speech")
    empty = cache / "datasets--someone--wavs/snapshots" / REVISION
    empty.mkdir(parents=True)
    (cache / "datasets--someone--wavs/refs").mkdir()
    (cache / "datasets--someone--wavs/refs/main").write_text(REVISION)
    (empty / "README.md").write_text("# Recordings")
    with pytest.raises(ValueError, match="hf://someone/wavs@refs/convert/parquet"):
        local_folder("hf://someone/wavs")


def test_mistyped_folders_are_no_datasets_of_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("corpora").mkdir()
    assert not is_hub_dataset("corpora/emo_db") and not is_hub_dataset(Path("someone/speech"))
    assert not is_hub_dataset("/data/speech") and not is_hub_dataset("./speech") and not is_hub_dataset("speech")
    assert is_hub_dataset("someone/speech") and is_hub_dataset("hf://corpora/emo_db")
