"""Pictures of timelines."""

from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from exhubert.cli.main import main
from exhubert.inference.plot import envelope, plot_timeline
from exhubert.inference.recordings import load_pipeline, predict

from ..conftest import LAYOUTS, opened, save, write_silence, write_tone

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


def test_the_envelope_of_a_recording_does_not_depend_on_its_blocks():
    samples = np.random.default_rng(0).standard_normal(10_001).astype(np.float32)
    whole = envelope([samples], 10_001 / 16_000, 100)
    assert np.array_equal(whole, envelope(np.array_split(samples, 7), 10_001 / 16_000, 100))
    parts = [np.abs(samples[np.arange(10_001) * 100 // 10_001 == index]).max() for index in range(100)]
    assert np.allclose(whole, parts)


def test_pictures_of_timelines(folder, recordings, tmp_path, capsys):
    plots = tmp_path / "plots"
    options = ["--model", str(folder), "--hop_s", "0.5", "--plot"]
    assert main(["predict", str(recordings[1]), str(recordings[3]), *options, str(plots)]) == 0
    pictures = sorted(plots.iterdir())
    assert [path.name[:2] for path in pictures] == ["1-", "3-"]
    picture = matplotlib.image.imread(pictures[0])[..., :3]
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 10  # not an empty page
    assert main(["predict", str(recordings[1]), str(recordings[3]), *options, str(tmp_path / "one.png")]) == 1
    assert "is one picture, but there are 2 recordings" in capsys.readouterr().err
    assert main(["predict", str(recordings[1]), *options, str(tmp_path / "one.png")]) == 0
    assert (tmp_path / "one.png").is_file()
    assert main(["predict", str(recordings[1]), *options, str(tmp_path / "plots_v1.0")]) == 0
    assert len(list((tmp_path / "plots_v1.0").iterdir())) == 1
    for wrong in (["--hop_s", "2"], ["--hop_s", "0"], ["--window_s", "inf"]):
        assert main(["predict", str(recordings[1]), "--model", str(folder), *wrong]) == 1
        assert "expected" in capsys.readouterr().err


def test_silence_and_the_outputs_of_a_regression_model_are_drawn(folder, regression_folder, tmp_path):
    silent, tone = write_silence(tmp_path / "still.wav"), write_tone(tmp_path / "tone.wav", 2.5)
    for model in (folder, regression_folder):
        plot_timeline(predict(load_pipeline(model), silent), silent, tmp_path / "still.svg")
        drawn = (tmp_path / "still.svg").read_text()
        assert "<!-- still.wav: silent -->" in drawn and "<!-- silent -->" in drawn
    found = predict(load_pipeline(regression_folder), tone)
    plot_timeline(found, tone, tmp_path / "tone.svg")
    drawn = (tmp_path / "tone.svg").read_text()
    assert f"<!-- tone.wav: {found.whole.caption} -->" in drawn
    assert all(f"<!-- {name} -->" in drawn for name in found.names)
