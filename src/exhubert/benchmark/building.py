"""Benchmark cases of the dataset builder, and of a bare loop with only the unavoidable work on the same files."""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import soundfile

from ..audio import encode_flac, resample
from ..emoset import build
from ..emoset.listing import list_corpus
from ..emoset.recording import read_record


def bare_loop(roots: Mapping[str, str]) -> Callable[[], dict]:
    """Reads, resamples and encodes the recordings of corpora, and discards the results."""
    listings = [list_corpus(name, Path(root)) for name, root in roots.items()]
    records = [item.record for listing in listings for item in listing.utterances]

    def step() -> dict:
        for record in records:
            encode_flac(resample(*read_record(record)))
        return {}

    return step


def building(roots: Mapping[str, str], num_proc: int | None) -> Callable[[], dict]:
    """Builds a dataset from the corpora in a temporary folder."""

    def step() -> dict:
        with tempfile.TemporaryDirectory() as folder:
            summaries = build({name: Path(root) for name, root in roots.items()}, folder, num_proc=num_proc)
        corpora = list(summaries.values())
        return {
            "utterances": sum(corpus.utterances for corpus in corpora),
            "hours": sum(corpus.hours for corpus in corpora),
        }

    return step


def made_up_tree(folder: Path, utterances: int, seconds: float) -> dict[str, Path]:
    """Writes short noise with the file names of ESD (half of them, 16 kHz), SUBESCO (44.1 kHz) and CREMA-D (48 kHz)."""
    rng = np.random.default_rng(0)
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
            samples = 0.1 * rng.standard_normal(round(rates[corpus] * seconds))
            soundfile.write(file, samples, rates[corpus])
    return {corpus: folder / corpus for corpus, count in shares.items() if count}


SENTENCES = ("IEO", "TIE", "IOM", "IWW", "TAI", "MTI", "IWL", "ITH", "DFA", "ITS", "TSI", "WSI")
LEVELS = tuple(a + b for a in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" for b in "ABCDEFGHIJ")  # more than in CREMA-D, to scale up
