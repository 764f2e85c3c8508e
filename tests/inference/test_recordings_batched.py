"""Many recordings at once: batches and workers change the speed and nothing else; pictures of their timelines."""

from pathlib import Path

import pytest
import torch

from exhubert.audio import AudioError
from exhubert.cli.main import main
from exhubert.inference.recordings import load_pipeline, predict, predict_all

from ..conftest import LAYOUTS, opened, save, write_tone

LENGTHS = (0.4, 2.3, 0.9, 1.0, 0.031, 3.7, 1.6)


@pytest.fixture(scope="module", params=sorted(LAYOUTS))
def folder(request, tmp_path_factory):
    return save(opened(request.param), tmp_path_factory.mktemp("model"), window_seconds=1.0)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory) -> list[Path]:
    root = tmp_path_factory.mktemp("recordings")
    files = [write_tone(root / f"{i}.wav", seconds, frequency=100 * (i + 1)) for i, seconds in enumerate(LENGTHS)]
    (root / "3a.wav").write_bytes(b"no recording")
    return [*files[:4], root / "3a.wav", *files[4:], root / "gone.wav"]


@pytest.mark.parametrize(("batch_size", "workers"), [(1, 1), (4, 1), (16, 1), (1, 3), (4, 2)])
def test_neither_batches_nor_workers_change_a_result(folder, recordings, batch_size, workers):
    classifier = load_pipeline(folder)
    threads = torch.get_num_threads()
    found = list(predict_all(classifier, recordings, batch_size, workers, hop_s=0.7))
    assert torch.get_num_threads() == threads
    assert [file for file, _ in found] == list(map(str, recordings))
    for file, result in found:
        if Path(file).name in ("3a.wav", "gone.wav"):
            assert isinstance(result, AudioError) and file in str(result)
        else:
            expected = predict(classifier, file, hop_s=0.7)
            assert result.scores == pytest.approx(expected.scores, abs=2e-6)
            assert [w.start for w in result.windows] == [w.start for w in expected.windows]


def test_a_file_named_twice_comes_twice(folder, recordings):
    found = list(predict_all(load_pipeline(folder), [recordings[0]] * 2, batch_size=4))
    assert len(found) == 2 and found[0][1] == found[1][1]


def test_the_command_takes_them_too(folder, recordings, tmp_path, capsys):
    outputs = []
    for name, options in {"one": [], "many": ["--workers", "2", "--batch_size", "4"]}.items():
        output = tmp_path / f"{name}.csv"
        arguments = [*map(str, recordings), "--model", str(folder), "--format", "csv", "--output", str(output)]
        assert main(["predict", *arguments, "--backend", "torch", *options]) == 2
        outputs.append([line.split(",")[:4] for line in output.read_text().splitlines()])
    assert outputs[0] == outputs[1]
    assert main(["predict", str(recordings[0]), "--model", str(folder), "--workers", "0"]) == 1
    assert "--workers must be at least 1" in capsys.readouterr().err
