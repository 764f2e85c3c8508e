"""Recordings whose recorder was stopped before it wrote their length into the header are read to the end."""

import io
import struct

import numpy as np
import pytest
import soundfile

from exhubert import load_audio
from exhubert.audio import AudioError, stream_audio

SAMPLES = 0.3 * np.sin(np.arange(300_000) / 10)[:, None]


def stopped(format, subtype="PCM_16", samples=SAMPLES) -> bytes:
    """What is on disk before libsndfile closes a file and goes back to its header."""
    buffer = io.BytesIO()
    with soundfile.SoundFile(buffer, "w", 16_000, samples.shape[1], subtype, format=format) as file:
        file.write(samples)
        file.flush()
        return buffer.getvalue()


def written(format, subtype="PCM_16", samples=SAMPLES, endian=None) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, 16_000, subtype, endian, format)
    return buffer.getvalue()


def without_length(content: bytes, order="<", riff=0) -> bytes:
    """A WAV whose data chunk, and fact chunk if it has one, say 0."""
    changed = bytearray(content)
    struct.pack_into(f"{order}I", changed, 4, riff)
    struct.pack_into("I", changed, content.index(b"data") + 4, 0)
    if b"fact" in content:
        struct.pack_into("I", changed, content.index(b"fact") + 8, 0)
    return bytes(changed)


def with_chunk(content: bytes, chunk: bytes, before: bytes | None = None) -> bytes:
    at = content.index(before) if before else len(content)
    return content[:at] + chunk + content[at:]


LIST = b"LIST" + struct.pack("<I", 26) + b"INFOISFT" + struct.pack("<I", 14) + b"a data program"
PCM, EMPTY = written("WAV"), written("WAV", samples=SAMPLES[:0])
WITHOUT_LENGTH = {
    **{format: (stopped(format), written(format)) for format in ("WAV", "AIFF", "AU", "CAF", "RF64")},
    **{
        f"{format}-{subtype}": (without_length(written(format, subtype)), written(format, subtype))
        for format, subtype in [
            ("WAV", "PCM_U8"), ("WAV", "PCM_24"), ("WAV", "FLOAT"), ("WAV", "ULAW"), ("WAV", "IMA_ADPCM"),
            ("WAV", "MS_ADPCM"), ("WAV", "GSM610"), ("WAVEX", "PCM_16"),
        ]
    },
    "riff-36": (without_length(PCM, riff=36), PCM),
    "riff-right": (without_length(PCM, riff=len(PCM) - 8), PCM),
    "riff-unknown": (without_length(PCM, riff=2**32 - 1), PCM),
    "RIFX": (without_length(written("WAV", endian="BIG"), ">"), PCM),
    "list-first": (without_length(with_chunk(PCM, LIST, b"data")), PCM),
    "junk-first": (without_length(with_chunk(PCM, b"JUNK" + struct.pack("<I", 28) + bytes(28), b"fmt ")), PCM),
    "mid-sample": (without_length(PCM[:-1]), PCM[:-2]),
    "caf-0": (written("CAF")[:4088] + bytes(8) + written("CAF")[4096:], written("CAF")),
    "caf-unknown": (written("CAF")[:4088] + b"\xff" * 8 + written("CAF")[4096:], written("CAF")),
}  # fmt: skip


@pytest.mark.parametrize("name", WITHOUT_LENGTH)
def test_a_recording_without_its_length_is_read_to_the_end(tmp_path, name):
    broken, whole = WITHOUT_LENGTH[name]
    path = tmp_path / "call.wav"
    path.write_bytes(broken)
    expected = load_audio(whole)
    assert len(expected) > 290_000
    for source in (path, broken, io.BytesIO(broken)):
        assert np.array_equal(load_audio(source), expected)
    assert np.array_equal(np.concatenate(list(stream_audio(path))), expected)
    assert np.array_equal(load_audio(path, start=17.0, end=18.0), expected[272_000:288_000])


@pytest.mark.parametrize(
    "content",
    [
        EMPTY,
        with_chunk(EMPTY, LIST),
        with_chunk(EMPTY, LIST + b"id3 " + struct.pack("<I", 3) + b"ID3\0"),
        *(stopped(format, samples=SAMPLES[:0]) for format in ("AIFF", "AU", "CAF", "RF64")),
    ],
    ids=["wav", "list", "two", "aiff", "au", "caf", "rf64"],
)
def test_a_recording_that_really_is_empty_holds_no_samples(content):
    with pytest.raises(AudioError, match="holds no samples"):
        load_audio(content)


def test_ctrl_c_while_a_stream_is_read_is_not_taken_for_its_end():
    class Interrupted(io.BytesIO):
        def read(self, size=-1):
            if self.tell() > 500_000:
                raise KeyboardInterrupt
            return super().read(size)

    for content in (PCM, without_length(PCM)):
        with pytest.raises(KeyboardInterrupt):
            load_audio(Interrupted(content))
