"""Damaged recordings: thousands of them are read or refused with a reason, without a crash, a hang or much memory.

Each campaign runs in a child process, where a crash of libsndfile or ffmpeg ends only that. The number of a file is its
seed: `python -m tests.test_audio_fuzz readers made 1234 1` repeats file 1234 alone.
"""

import importlib.util
import io
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from exhubert import audio_containers
from exhubert.audio import AudioError, load_audio, read_audio, stream_audio

from .conftest import contained
from .test_audio_headers import stopped, without_length

CORPORA = Path(__file__).parents[2] / "shared" / "corpora"
HAS_PYAV = importlib.util.find_spec("av") is not None
SECONDS_PER_FILE = 20
MEMORY = 700 * 2**20  # beyond what the process has when it begins
ENCODINGS = {  # without XI and G.721, of which libsndfile gives what is left in memory where they are cut off
    "wav": ["PCM_U8", "PCM_16", "PCM_24", "FLOAT", "DOUBLE", "ALAW", "ULAW", "IMA_ADPCM", "GSM610", "NMS_ADPCM_16"],
    "aiff": ["PCM_S8", "PCM_24", "DOUBLE", "GSM610"],
    "w64": ["PCM_16", "DOUBLE"],
    "caf": ["PCM_24", "ULAW"],
    "flac": ["PCM_16", "PCM_24"],
    "ogg": ["VORBIS", "OPUS"],
    "mp3": ["MPEG_LAYER_III"],
    "au": ["PCM_16"],
    "sds": ["PCM_16"],
}
STOPPED = ["AIFF", "AU", "CAF", "RF64"]
SHAPES = [(0.2, 16_000, 1), (0.1, 44_100, 2), (0.1, 192_000, 1), (0.05, 16_000, 9), (0.01, 8_000, 1)]
CONTAINERS = [
    ("ipod", "aac", "m4a"), ("ipod", "alac", "m4a"), ("mp4", "aac", "mp4"), ("matroska", "libopus", "mkv"),
    ("matroska", "pcm_s16le", "mkv"), ("matroska", "flac", "mkv"), ("mov", "pcm_s16le", "mov"),
    ("avi", "pcm_s16le", "avi"), ("mpegts", "mp2", "ts"), ("flv", "aac", "flv"), ("tta", "tta", "tta"),
]  # fmt: skip


def encoded(samples, rate, format, subtype) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=format, subtype=subtype)
    return buffer.getvalue()


def encodings(samples_of) -> dict[str, bytes]:
    """The contents of files by name; `samples_of` gives `(samples, channels)` for seconds, rate and channels."""
    contents = {}
    for format, subtypes in ENCODINGS.items():
        for subtype in subtypes:
            for seconds, rate, channels in SHAPES:
                try:
                    content = encoded(samples_of(seconds, rate, channels), rate, format.upper(), subtype)
                except soundfile.LibsndfileError:
                    continue  # not every encoding has every rate and number of channels
                contents[f"{subtype}-{rate}-{channels}.{format}"] = content
    for format, codec, ending in CONTAINERS if HAS_PYAV else []:
        for channels in (1, 2):
            contents[f"{codec}-{channels}.{ending}"] = contained(
                samples_of(0.2, 48_000, channels), 48_000, format, codec
            )
    return contents


def made() -> dict[str, bytes]:
    def noisy_tone(seconds, rate, channels):
        time = np.arange(round(seconds * rate)) / rate
        noise = np.random.default_rng(channels).standard_normal((len(time), channels))
        return 0.3 * np.sin(2 * np.pi * 200 * time)[:, None] + 0.02 * noise

    tone = noisy_tone(0.1, 16_000, 1)
    strange = {f"{value}.wav": np.where(np.arange(1600)[:, None] == 900, value, tone) for value in (np.nan, np.inf)}
    tracks = [tone, noisy_tone(0.1, 44_100, 2)]
    unfinished = {f"{i}.{form.lower()}": stopped(form, samples=tracks[i]) for form in STOPPED for i in (0, 1)}
    unfinished |= {
        f"stopped-{subtype}.wav": without_length(encoded(tone, 16_000, "WAV", subtype)) for subtype in ENCODINGS["wav"]
    }
    return (
        encodings(noisy_tone)
        | unfinished
        | {name: encoded(samples, 16_000, "WAV", "FLOAT") for name, samples in strange.items()}
    )


def real() -> dict[str, bytes]:
    files = random.Random(0).sample(sorted(CORPORA.rglob("*.wav")), 30)
    speech = load_audio(files[0])[8_000:]

    def excerpt(seconds, rate, channels):
        return np.repeat(np.resize(speech, round(seconds * rate))[:, None], channels, axis=1)

    return encodings(excerpt) | {file.name: file.read_bytes() for file in files}


def damaged(seed: random.Random, content: bytes, others: list[bytes]) -> bytes:
    """A file with one kind of damage that transfers, disks and programs do."""
    found, size = bytearray(content), len(content)
    head = min(size, seed.choice([48, 128, 400]))
    at = seed.randrange(size)
    match seed.randrange(11):
        case 0:
            del found[at:]
        case 1:
            del found[: seed.randrange(1, head)]
        case 2 | 3 as kind:
            for _ in range(seed.choice([1, 2, 5, 20, 100])):
                found[seed.randrange(size if kind == 2 else head)] ^= 1 << seed.randrange(8)
        case 4:
            found[at:] = bytes(size - at)
        case 5:
            found[at:] = seed.randbytes(size - at)
        case 6:
            found[at:at] = seed.randbytes(seed.choice([1, 3, 100, 5000]))
        case 7:
            del found[at : at + seed.choice([1, 2, 7, 100, 1000])]
        case 8:
            found[:head] = seed.choice(others)[:head]
        case 9:
            found += seed.choice(others)
        case _:
            number = seed.choice([0, 1, 2**24, 2**31 - 1, 2**31, 2**32 - 1, seed.getrandbits(32)])
            at = seed.randrange(head)
            found[at : at + 4] = number.to_bytes(4, seed.choice(["big", "little"]))
    return bytes(found)


def outcome(read, *arguments) -> np.ndarray | str:
    """What comes of reading: samples, or why not, without the name that every refusal has to begin with."""
    try:
        return read(*arguments)
    except AudioError as error:
        name, _, reason = str(error).partition(": ")
        assert name.endswith((".wav", " bytes")) or Path(name).suffix, f"nameless: {error}"
        assert len(reason) > 10 and reason.endswith("."), f"no sentence: {error}"
        return reason


def streamed(source) -> np.ndarray:
    return np.concatenate(list(stream_audio(source)))


def check_readers(path: Path) -> bool:
    """Both readers take a file or refuse it alike, by its name and by its bytes; whether they took it."""
    outcome(read_audio, path, 0.05, 0.1)  # a part may lie before or after the damage
    loaded, from_bytes = outcome(load_audio, path), outcome(streamed, path.read_bytes())
    if isinstance(loaded, str):
        assert loaded == from_bytes
        return False
    assert not isinstance(from_bytes, str), from_bytes
    assert np.isfinite(loaded).all()
    np.testing.assert_allclose(from_bytes, loaded, rtol=0, atol=1e-5 * max(1.0, np.abs(loaded).max(initial=0.0)))
    return True


def pipeline_check():
    """The same, for the whole way from a file to probabilities."""
    import torch

    from exhubert import ExHuBERTForSequenceClassification, default_feature_extractor
    from exhubert.pipeline_exhubert import ExHuBERTPipeline

    from .conftest import tiny_hubert

    torch.set_num_threads(1)
    model = ExHuBERTForSequenceClassification.from_hubert(tiny_hubert("pre_norm"), window_seconds=0.1)
    classifier = ExHuBERTPipeline(model=model.eval(), feature_extractor=default_feature_extractor(model.config))

    def check(path: Path) -> bool:
        found = outcome(lambda: classifier(str(path)))
        if isinstance(found, str):
            return False
        assert sum(item["score"] for item in found) == pytest.approx(1.0, abs=1e-4), found
        return True

    return check


def campaign(what: str, contents: dict[str, bytes], first: int, count: int) -> None:
    """Prints a line before each damaged file, and one with what came of it after."""
    check = pipeline_check() if what == "pipeline" else check_readers
    if HAS_PYAV:
        import av  # noqa: F401 (its size isn't what is limited)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
    audio_containers.FROM_START_S = 0.0
    results = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is told apart from what we do
    names, others = sorted(contents), [contents[name] for name in sorted(contents)]
    with tempfile.TemporaryDirectory() as folder:
        for number in range(first, first + count):
            seed = random.Random(number)
            name = seed.choice(names)
            path = Path(folder, seed.choice([name, name, name, "call.wav", "call.raw", "call.mkv"]))
            path.write_bytes(damaged(seed, contents[name], others))
            print(f"file {number}, made of {name}", file=results, flush=True)
            signal.alarm(SECONDS_PER_FILE)  # kills, even in a library's endless loop
            try:
                came = "read" if check(path) else "refused"
            except BaseException as error:
                came = f"{type(error).__name__}: {error}"
            signal.alarm(0)
            print(json.dumps(came), file=results, flush=True)
            path.unlink()


def run_campaign(what: str, origin: str, count: int) -> dict[str, int]:
    """How many files were read and refused; fails if anything else came of one."""
    command = [sys.executable, "-m", "tests.test_audio_fuzz", what, origin, "0", str(count)]
    done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, errors="replace")
    lines = done.stdout.splitlines()
    assert done.returncode == 0, f"{lines[-1:]} ended it ({done.returncode})\n{done.stderr[-2000:]}"
    came = [json.loads(line) for line in lines[1::2]]
    bad = [
        f"{file}: {result}" for file, result in zip(lines[::2], came, strict=True) if result not in ("read", "refused")
    ]
    assert not bad, f"{len(bad)} of {count}:\n" + "\n".join(bad[:20])
    return {result: came.count(result) for result in ("read", "refused")}


@pytest.mark.slow
def test_thousands_of_damaged_recordings_are_read_or_refused_with_a_reason():
    found = run_campaign("readers", "made", 2_400)
    assert found["read"] + found["refused"] == 2_400 and min(found.values()) > 500


@pytest.mark.skipif(not CORPORA.is_dir(), reason="no corpora at hand")
def test_damaged_real_recordings_are_read_or_refused_with_a_reason():
    assert min(run_campaign("readers", "real", 400).values()) > 50


def test_damaged_recordings_go_through_the_pipeline_or_are_refused():
    assert min(run_campaign("pipeline", "made", 300).values()) > 50


def test_whole_recordings_of_every_encoding_are_read_and_nan_refused(tmp_path):
    contents = made()
    assert len(contents) > 70
    refused = set()
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        if not check_readers(tmp_path / name):
            refused.add(name)
    assert refused == {"nan.wav", "inf.wav"} | {name for name in contents if name.endswith(".sds")}


if __name__ == "__main__":
    campaign(sys.argv[1], {"made": made, "real": real}[sys.argv[2]](), int(sys.argv[3]), int(sys.argv[4]))
