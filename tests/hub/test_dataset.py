"""Uploading a dataset."""

import av
import numpy as np
import pytest

from exhubert.cli.main import main
from exhubert.emoset import build
from exhubert.emoset.sources import ROOT_VARIABLE
from exhubert.hub.dataset import refuse_unless_allowed

from ..conftest import write_tone


def write_video(path, seconds=0.5, rate=48_000, frequency=440.0, layout="stereo", codec="pcm_s16le"):
    """A container with one sound track, made with PyAV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    channels = {"mono": 1, "stereo": 2, "5.1": 6}[layout]
    samples = 0.3 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        frame = av.AudioFrame.from_ndarray(
            np.repeat((samples * 32767).astype("<i2")[:, None], channels, axis=1).reshape(1, -1), "s16", layout
        )
        frame.sample_rate = rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.delenv(ROOT_VARIABLE, raising=False)
    root = tmp_path / "corpora"
    for index, speaker in enumerate(("03", "08", "09", "10", "11")):
        for pitch, emotion in enumerate("WLEAFTN"):
            write_tone(root / f"EMO-DB/wav/{speaker}a01{emotion}a.wav", frequency=150.0 + 9 * index + 40 * pitch)
    for index in range(1, 4):
        write_video(root / f"some archive/subject {index}/anger/sentence 1/s{index}_an_1.avi", frequency=200.0 * index)
        write_tone(root / f"my calls/{index}.wav", frequency=77.0 * index)
    (root / "my calls/manifest.csv").write_text(
        "file,label,speaker\n1.wav,joy,a\n2.wav,joy,b\n3.wav,joy,c\n3.wav,sung,c\n"
    )
    (root / "EMO-DB/wav/03a02Na.wav").write_text("damaged")
    write_tone(root / "riddle/a.wav")
    return root


def test_push_is_refused_for_corpora_that_may_not_be_passed_on(root, tmp_path, capsys):
    build({"enterface": root / "some archive", "emo_db": root / "EMO-DB"}, tmp_path / "out")
    with pytest.raises(PermissionError, match="enterface \\(free for research\\)"):
        refuse_unless_allowed(tmp_path / "out")
    assert main(["emoset", "push", str(tmp_path / "out"), "me/data"]) == 1
    assert "not pushed" in capsys.readouterr().err
    build({"emo_db": root / "EMO-DB"}, tmp_path / "allowed")
    refuse_unless_allowed(tmp_path / "allowed")
