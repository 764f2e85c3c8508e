"""A live stream gives the windows of the same recording as a file, each as soon as it has been heard."""

import io
import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from exhubert.cli.listen import pcm_blocks
from exhubert.cli.main import main
from exhubert.inference.recordings import follow, load_pipeline, predict

from ..conftest import opened, save, write_tone


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save(opened("pre_norm"), tmp_path_factory.mktemp("model"), window_seconds=1.0)


@pytest.fixture(scope="module")
def classifier(folder):
    return load_pipeline(folder)


@pytest.mark.parametrize("block", [50, 1600, 100_000])
def test_a_stream_gives_the_windows_of_the_file(classifier, block, tmp_path):
    path = write_tone(tmp_path / "a.wav", 3.3, rate=22_050)
    samples, rate = soundfile.read(path, dtype="float32")
    samples[:rate] = 0.0  # a silent first second
    soundfile.write(path, samples, rate, subtype="FLOAT")
    blocks = (samples[first : first + block] for first in range(0, len(samples), block))
    found = list(follow(classifier, blocks, rate, hop_s=0.5))
    expected = predict(classifier, path, hop_s=0.5).windows
    assert [(w.start, w.end, w.silent) for w in found] == [(w.start, w.end, w.silent) for w in expected]
    assert found[0].silent and found[0].scores is None and not found[3].silent
    for window, other in zip(found, expected, strict=True):
        assert window.scores == (other.scores and pytest.approx(other.scores, abs=1e-4))


def test_a_window_comes_as_soon_as_it_has_been_heard(classifier):
    heard = 0

    def blocks():
        nonlocal heard
        draw = np.random.default_rng(0)
        for _ in range(40):
            heard += 1600
            yield 0.1 * draw.standard_normal(1600)

    late = [heard / 16_000 - window.end for window in follow(classifier, blocks(), 16_000)]
    assert len(late) == 4
    assert max(late) == pytest.approx(0.1)  # one block: only then is it known not to be the last


def test_channels_are_channels_however_short_a_block_is(classifier):
    draw = np.random.default_rng(0)
    stereo = 0.1 * draw.standard_normal((2, 16_000)).astype(np.float32)
    whole = list(follow(classifier, [stereo], 16_000))
    single = list(follow(classifier, np.split(stereo, 16_000, axis=1), 16_000))
    assert [(w.start, w.end) for w in single] == [(w.start, w.end) for w in whole] == [(0.0, 1.0)]
    assert single[0].scores == pytest.approx(whole[0].scores, abs=1e-6)


@pytest.mark.parametrize(("pcm", "scale"), [("s16le", 32767), ("f32le", 1.0), ("s32le", 2**31 - 1)])
def test_raw_pcm_on_standard_input_is_followed(folder, classifier, pcm, scale, tmp_path, capsys, monkeypatch):
    path = write_tone(tmp_path / "a.wav", 2.5, channels=2)
    samples = soundfile.read(path, dtype="float64")[0]
    kind = {"s16le": "<i2", "f32le": "<f4", "s32le": "<i4"}[pcm]
    content = (samples * scale).astype(kind).tobytes() + b"\0"
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BufferedReader(io.BytesIO(content))))
    options = ["--model", str(folder), "--pcm", pcm, "--pcm_channels", "2", "--format", "jsonl"]
    assert main(["listen", "-", *options]) == 0
    printed = capsys.readouterr()
    found = [json.loads(line) for line in printed.out.splitlines()]
    expected = predict(classifier, path).windows
    assert [(w["start"], w["end"]) for w in found] == [(w.start, w.end) for w in expected]
    for window, other in zip(found, expected, strict=True):
        assert window["scores"] == pytest.approx(other.scores, abs=1e-3)
    assert "1 bytes are left out" in printed.err


def test_silence_and_outputs_of_a_regression_model_are_printed_as_such(
    folder, regression_folder, tmp_path, capsys, monkeypatch
):
    tone = soundfile.read(write_tone(tmp_path / "a.wav", 1.0))[0]
    content = ((np.concatenate([np.full(16_000, 0.01), tone])) * 32767).astype("<i2").tobytes()

    def listened(model, form):
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BufferedReader(io.BytesIO(content))))
        assert main(["listen", "-", "--model", str(model), "--format", form]) == 0
        return capsys.readouterr().out.splitlines()

    for model in (folder, regression_folder):
        silent, heard = (json.loads(line) for line in listened(model, "jsonl"))
        assert silent["silent"] and silent["scores"] is None and silent.get("label") is None
        assert not heard["silent"] and len(heard["scores"]) == 3
        assert ("label" in heard) == ("label" in silent) == (model == folder)
        lines = [" ".join(line.split()) for line in listened(model, "table")]
        assert lines[0] == "0.00 to 1.00 silent"
        outputs = ", ".join(f"{name} {value:.2f}" for name, value in heard["scores"].items())
        expected = f"{heard['label']} {heard['scores'][heard['label']]:.2f}" if "label" in heard else outputs
        assert lines[1] == f"1.00 to 2.00 {expected}"


def test_samples_that_come_in_halves_are_put_together():
    class Slow(io.RawIOBase):
        content = np.arange(6, dtype="<i2").tobytes()

        def read1(self, _):
            part, self.content = self.content[:3], self.content[3:]
            return part

    blocks = list(pcm_blocks(Slow(), "s16le", sampling_rate=16_000, channels=2))
    assert np.concatenate(blocks, axis=1).tolist() == [[0, 2, 4], [1, 3, 5]]


def test_without_a_microphone_it_says_what_to_do(folder, capsys):
    try:
        import sounddevice  # noqa: F401
    except (ImportError, OSError):
        assert main(["listen", "--model", str(folder)]) == 1
        assert "give `-` and raw PCM on standard input" in capsys.readouterr().err
    else:
        pytest.skip("a microphone may be here")
