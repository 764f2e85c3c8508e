"""`exhubert predict` when it is interrupted, and when files and disks misbehave under it."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from exhubert import ExHuBERTForSequenceClassification, default_feature_extractor
from exhubert.audio import AudioError, stream_audio
from exhubert.cli.main import main
from exhubert.inference.recordings import load_pipeline, predict_all

from ..conftest import tiny_hubert, write_tone


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    model = ExHuBERTForSequenceClassification.from_hubert(tiny_hubert("pre_norm"), window_seconds=0.5)
    model.save_pretrained(folder)
    default_feature_extractor(model.config).save_pretrained(folder)
    return str(folder)


def started(command, output):
    """A process of the command line, once there are three lines in its output."""
    process = subprocess.Popen(
        [sys.executable, "-m", "exhubert", *command],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # tests in the background ignore it
    )
    limit = time.monotonic() + 300
    while not (output.is_file() and output.read_bytes().count(b"\n") >= 3):
        assert process.poll() is None and time.monotonic() < limit, process.communicate()
        time.sleep(0.01)
    return process


@pytest.mark.slow
@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_ctrl_c_leaves_whole_lines_and_resume_the_rest(folder, tmp_path, form):
    for number in range(60):
        write_tone(tmp_path / "in" / f"{number:02} \n'ü.wav", 3.0 + number % 3)
    command = ["predict", str(tmp_path / "in"), "--model", folder, "--format", form, "--timeline", "--output"]
    assert main([*command, str(tmp_path / "whole")]) == 0
    whole = (tmp_path / "whole").read_bytes()
    process = started([*command, str(tmp_path / "out")], tmp_path / "out")
    process.send_signal(signal.SIGINT)
    _, printed = process.communicate(timeout=120)
    assert process.returncode == 130 and printed.endswith("exhubert: stopped.\n") and "Traceback" not in printed
    stopped = (tmp_path / "out").read_bytes()
    assert 0 < len(stopped) < len(whole) and stopped.endswith(b"\n") and whole.startswith(stopped)
    assert main([*command, str(tmp_path / "out"), "--resume"]) == 0
    assert (tmp_path / "out").read_bytes() == whole


def test_files_that_vanish_or_loop_are_reported_and_the_rest_classified(folder, tmp_path, capsys):
    good, gone = write_tone(tmp_path / "good.wav"), write_tone(tmp_path / "gone.wav")
    (tmp_path / "loop.wav").symlink_to(tmp_path / "loop.wav")
    (tmp_path / "dangling.wav").symlink_to(tmp_path / "nowhere.wav")

    def files():
        yield str(good)
        gone.unlink()
        yield from (str(tmp_path / name) for name in ("gone.wav", "loop.wav", "dangling.wav", "x" * 300 + ".wav"))
        yield str(good)

    found = [result for _, result in predict_all(load_pipeline(folder), files())]
    assert found[0].scores == found[-1].scores
    assert all(isinstance(result, AudioError) for result in found[1:-1])
    assert [str(result).split(": ", 1)[1] for result in found[1:4]] == ["there is no such file."] * 3
    assert "File name too long" in str(found[4])
    assert main(["predict", str(tmp_path), "--model", folder, "--format", "jsonl"]) == 2
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {Path(line["file"]).name: "error" in line for line in lines} == {
        "good.wav": False,
        "loop.wav": True,
        "dangling.wav": True,
    }


@pytest.mark.parametrize("ending", ["wav", "flac", "mp3"])
def test_a_file_that_is_cut_while_it_is_read_ends_or_is_refused(tmp_path, ending):
    path = write_tone(tmp_path / f"long.{ending}", 90.0)
    blocks = stream_audio(path)
    heard = len(next(blocks))
    os.truncate(path, path.stat().st_size // 3)
    try:
        heard += sum(map(len, blocks))
    except AudioError as error:
        assert "damaged after" in str(error)
    assert 0 < heard < 90 * 16_000
    path.write_bytes(b"")
    with pytest.raises(AudioError, match="empty"):
        np.concatenate(list(stream_audio(path)))


def test_an_output_that_can_not_be_written_is_a_sentence(folder, tmp_path, capsys):
    command = ["predict", str(write_tone(tmp_path / "tone.wav")), "--model", folder, "--format", "jsonl", "--output"]
    assert main([*command, str(tmp_path)]) == 1
    assert f"exhubert: --output {tmp_path} is a folder; give the name of a file" in capsys.readouterr().err
    assert main([*command, str(tmp_path / "tone.wav" / "out.jsonl")]) == 1
    assert "tone.wav" in capsys.readouterr().err
    if Path("/dev/full").exists():
        assert main([*command, "/dev/full"]) == 1
        assert "No space left on device" in capsys.readouterr().err
