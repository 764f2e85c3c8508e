"""Times ExHuBERT against the plain HuBERT it extends, and the dataset builder against a bare loop, on this machine.

    python recipes/bench.py all --size tiny
    python recipes/bench.py data --utterances 10000
    python recipes/bench.py data --corpus emo_db=corpora/emo_db

`predict` is a forward pass, `train` a step with backward pass and AdamW, both on random 3 s clips in fp32. The two
models take turns over several rounds, since machines drift; the ratio of the medians is the figure to quote. ExHuBERT
has twice the layers and a gate for each block, so a ratio near 2 is the work it is.

`data` builds a dataset, of a corpus on disk or of a tree of short made-up recordings in real layouts, and sets it
beside the work that can't be avoided: read, resample and encode each file with the same libraries.
"""

import argparse
import json
import platform
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

# this folder's evaluate.py would hide the library of that name
sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != Path(__file__).resolve().parent]

import numpy as np
import soundfile
import torch
from transformers import HubertConfig, HubertForSequenceClassification

from exhubert import ExHuBERTForSequenceClassification
from exhubert.audio import encode_flac, read_audio, resample

SIZES = {
    "tiny": {"hidden_size": 128, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 384},
    "base": {},
    "large": {
        "hidden_size": 1024,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "intermediate_size": 4096,
        "do_stable_layer_norm": True,
        "feat_extract_norm": "layer",
        "conv_bias": True,
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", choices=["predict", "train", "all", "data"])
    parser.add_argument("--size", choices=SIZES, default="tiny")
    parser.add_argument("--batch_size", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--utterances", type=int, default=2000, help="data: size of the made-up tree")
    parser.add_argument("--seconds", type=float, default=0.1, help="data: length of each made-up recording")
    parser.add_argument("--corpus", metavar="NAME=FOLDER", help="data: a corpus on disk instead")
    parser.add_argument("--num_proc", type=int, help="data: processes of the builder")
    options = parser.parse_args()
    if options.case == "data":
        building(options)
        return
    config = HubertConfig(num_labels=6, apply_spec_augment=False, **SIZES[options.size])
    hubert = HubertForSequenceClassification(config)
    models = {"HuBERT": hubert, "ExHuBERT": ExHuBERTForSequenceClassification.from_hubert(hubert)}
    for model in models.values():
        model.freeze_feature_encoder()
        model.hubert.masked_spec_embed.requires_grad_(False)
    clips = torch.randn(options.batch_size, 48_000, generator=torch.Generator().manual_seed(0))
    cases = {"predict": predicting, "train": training}
    figures = {
        name: compare({label: make(model, clips) for label, model in models.items()}, options.rounds)
        for name, make in cases.items()
        if options.case in (name, "all")
    }
    processor = platform.processor() or platform.machine()
    machine = f"{processor}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    print(
        f"{machine}; size {options.size}, {options.batch_size} x 3 s; median of {options.rounds} rounds (least, most)"
    )
    for name, times in figures.items():
        for label, seconds in times.items():
            median = statistics.median(seconds)
            print(f"{name:8} {label:9} {median:8.3f} s ({min(seconds):.3f}, {max(seconds):.3f})")
        ratio = statistics.median(times["ExHuBERT"]) / statistics.median(times["HuBERT"])
        print(f"{name:8} ratio     {ratio:8.2f}")
    if options.json:
        report = {"machine": machine, "size": options.size, "batch_size": options.batch_size, "seconds": figures}
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def predicting(model, clips: torch.Tensor) -> Callable[[], None]:
    def step():
        model.eval()
        with torch.inference_mode():
            model(clips)

    return step


def training(model, clips: torch.Tensor) -> Callable[[], None]:
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-5)
    labels = torch.arange(len(clips)) % model.config.num_labels

    def step():
        model.train()
        model(clips, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def compare(steps: dict[str, Callable[[], None]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each step in each round, after a round that isn't counted."""
    seconds: dict[str, list[float]] = {label: [] for label in steps}
    for counted in range(-1, rounds):
        for label, step in steps.items():
            start = time.perf_counter()
            step()
            if counted >= 0:
                seconds[label].append(time.perf_counter() - start)
    return seconds


def building(options: argparse.Namespace) -> None:
    """Times listing, building and a bare loop over the same files, and prints CPU seconds per hour of audio."""
    from exhubert.emoset import build, load
    from exhubert.emoset.builder import list_corpus

    with tempfile.TemporaryDirectory() as folder:
        if options.corpus:
            name, _, root = options.corpus.partition("=")
            roots = {name: Path(root)}
        else:
            roots = made_up_tree(Path(folder), options.utterances, options.seconds)
        start = time.perf_counter()
        listings = {name: list_corpus(name, root) for name, root in roots.items()}
        listing = time.perf_counter() - start
        files = [item.record.file for found in listings.values() for item in found.utterances]
        cpu, start = cpu_seconds(), time.perf_counter()
        for file in files:
            encode_flac(resample(*read_audio(file)))
        bare, bare_wall = cpu_seconds() - cpu, time.perf_counter() - start
        cpu, start = cpu_seconds(), time.perf_counter()
        summary = build(roots, Path(folder) / "built", num_proc=options.num_proc)
        built, built_wall = cpu_seconds() - cpu, time.perf_counter() - start
        hours = sum(facts["hours"] for facts in summary.values())
        rows = sum(map(len, load(Path(folder) / "built").values()))
    memory = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024
    print(f"{rows} rows, {hours:.2f} h of audio, {len(roots)} corpora, num_proc {options.num_proc or 1}")
    print(f"list       {listing:8.1f} s")
    print(f"bare loop  {bare_wall:8.1f} s  {bare:8.1f} CPU s  {bare / hours:7.1f} CPU s per hour of audio")
    print(f"build      {built_wall:8.1f} s  {built:8.1f} CPU s  {built / hours:7.1f} CPU s per hour of audio")
    print(
        f"build / bare loop {built / bare:.2f} in CPU time; {rows / built_wall:.0f} rows/s; peak memory {memory:.0f} MB"
    )


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

if __name__ == "__main__":
    main()
