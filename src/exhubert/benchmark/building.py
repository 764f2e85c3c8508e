"""How the dataset builder compares with the work that can't be avoided, over the same files."""

import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from ..audio import encode_flac, read_audio, resample


def building(corpus: str | None, utterances: int, seconds: float, num_proc: int | None) -> dict[str, Any]:
    """Times listing, building and a bare loop over the same files, prints and returns what was found.

    Args:
        corpus: `NAME=FOLDER` of a corpus on disk; by default a tree of made-up recordings.
        utterances: Size of the made-up tree.
        seconds: Length of each made-up recording.
        num_proc: Processes of the builder.
    """
    from ..emoset import build, load
    from ..emoset.builder import list_corpus

    with tempfile.TemporaryDirectory() as folder:
        if corpus:
            name, _, root = corpus.partition("=")
            roots = {name: Path(root)}
        else:
            roots = made_up_tree(Path(folder), utterances, seconds)
        start = time.perf_counter()
        listings = {name: list_corpus(name, root) for name, root in roots.items()}
        listing = time.perf_counter() - start
        files = [item.record.file for found in listings.values() for item in found.utterances]
        cpu, start = cpu_seconds(), time.perf_counter()
        for file in files:
            encode_flac(resample(*read_audio(file)))
        bare, bare_wall = cpu_seconds() - cpu, time.perf_counter() - start
        cpu, start = cpu_seconds(), time.perf_counter()
        summary = build(roots, Path(folder) / "built", num_proc=num_proc)
        built, built_wall = cpu_seconds() - cpu, time.perf_counter() - start
        hours = sum(facts["hours"] for facts in summary.values())
        number = sum(map(len, load(Path(folder) / "built").values()))
    memory = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024
    print(f"{number} rows, {hours:.2f} h of audio, {len(roots)} corpora, num_proc {num_proc or 1}")
    print(f"list       {listing:8.1f} s")
    print(f"bare loop  {bare_wall:8.1f} s  {bare:8.1f} CPU s  {bare / hours:7.1f} CPU s per hour of audio")
    print(f"build      {built_wall:8.1f} s  {built:8.1f} CPU s  {built / hours:7.1f} CPU s per hour of audio")
    speed = f"{number / built_wall:.0f} rows/s"
    print(f"build / bare loop {built / bare:.2f} in CPU time; {speed}; peak memory {memory:.0f} MB")
    return {
        "utterances": number, "hours": hours, "list_s": listing, "bare_cpu_s": bare, "build_cpu_s": built,
        "ratio": built / bare, "rows_per_s": number / built_wall, "peak_mb": memory,
    }  # fmt: skip


def cpu_seconds() -> float:
    """CPU time of this process and of those it has waited for."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def made_up_tree(folder: Path, utterances: int, seconds: float) -> dict[str, Path]:
    """Short noise at 16, 44.1 and 48 kHz under the names of ESD (half of it), SUBESCO and CREMA-D."""
    noise = np.random.default_rng(0)
    shares = {
        "esd": utterances // 2,
        "subesco": utterances // 4,
        "crema_d": utterances - utterances // 2 - utterances // 4,
    }
    rates = {"esd": 16_000, "subesco": 44_100, "crema_d": 48_000}
    emotions = {
        "esd": ("Neutral", "Angry", "Happy", "Sad", "Surprise"),
        "subesco": ("ANGRY", "DISGUST", "FEAR", "HAPPY", "NEUTRAL", "SAD", "SURPRISE"),
        "crema_d": ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD"),
    }
    for corpus, count in shares.items():
        labels = emotions[corpus]
        for index in range(count):
            label, number, speaker = labels[index % len(labels)], index // len(labels), index % 20 + 1
            sentence = f"{SENTENCES[number // 91 % 12]}_{label}_{LEVELS[number // 1092]}"
            path = {
                "esd": f"{speaker:04d}/{label}/{speaker:04d}_{number:06d}.wav",
                "subesco": f"F_{speaker:02d}_NAME_S_{number}_{label}_1.wav",
                "crema_d": f"AudioWAV/{1001 + number % 91}_{sentence}.wav",
            }[corpus]
            file = folder / corpus / path
            file.parent.mkdir(parents=True, exist_ok=True)
            samples = 0.1 * noise.standard_normal(round(rates[corpus] * seconds))
            soundfile.write(file, samples, rates[corpus])
    return {corpus: folder / corpus for corpus, count in shares.items() if count}


SENTENCES = ("IEO", "TIE", "IOM", "IWW", "TAI", "MTI", "IWL", "ITH", "DFA", "ITS", "TSI", "WSI")
LEVELS = tuple(a + b for a in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" for b in "ABCDEFGHIJ")  # more than CREMA-D has, to scale up
