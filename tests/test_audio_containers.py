"""Sound tracks of videos, and single channels."""

import av
import numpy as np
import pytest
import soundfile

from exhubert import load_audio
from exhubert.audio import AudioError, read_audio

from .conftest import write_video


@pytest.mark.parametrize(
    ("name", "layout", "codec"),
    [
        ("a.avi", "stereo", "pcm_s16le"),
        ("b.mp4", "5.1", "aac"),
        ("c.m4a", "mono", "aac"),
        ("d.mov", "stereo", "pcm_s16le"),
    ],
)
def test_sound_tracks_of_videos_are_read_mixed_down_and_cut(tmp_path, name, layout, codec):
    write_video(tmp_path / name, 1.0, frequency=500.0, layout=layout, codec=codec)
    samples = load_audio(tmp_path / name)
    assert abs(len(samples) - 16_000) < 1200, "encoders pad by up to a frame or two"
    spectrum = np.abs(np.fft.rfft(samples[:8000]))
    assert spectrum.argmax() == 250  # bins of 2 Hz
    part, rate = read_audio(tmp_path / name, start=0.25, end=0.5)
    assert rate == 48_000 and len(part) == 12_000
    assert np.array_equal(samples, load_audio((tmp_path / name).read_bytes()))


def test_what_has_no_sound_track_is_said(tmp_path):
    (tmp_path / "pointer.wav").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(AudioError, match="pointer.wav: only a Git LFS pointer; run `git lfs pull`"):
        load_audio(tmp_path / "pointer.wav")
    with av.open(str(tmp_path / "mute.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 32
        frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), dtype=np.uint8), format="rgb24")
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    with pytest.raises(AudioError, match="mute.mp4: not a recording that can be read; it has no sound track"):
        load_audio(tmp_path / "mute.mp4")


def test_one_channel_can_be_taken_alone(tmp_path):
    soundfile.write(tmp_path / "two.wav", np.stack([np.full(800, 0.5), np.full(800, -0.25)], axis=1), 16_000)
    assert read_audio(tmp_path / "two.wav", channel=1)[0].mean() == pytest.approx(-0.25, abs=1e-4)
    with pytest.raises(AudioError, match="channel 2, counted from 0, was asked for; there are 2"):
        read_audio(tmp_path / "two.wav", channel=2)
