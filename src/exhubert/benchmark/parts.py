"""Parts of the benchmark, such as `predict` or `train`: the cases that each compares, and the results it reports."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

from ..evaluation.metrics import uar
from ..files import read_json
from . import cases
from .building import bare_loop, building, made_up_tree
from .harness import Case, Measured, take_turns
from .models import SIZES, long_recording, random_model

MEMORY_SECONDS, MEMORY_BATCH = 3.0, 2
GROWTH = {
    "length": ("seconds of audio in one piece", (1, 3, 10, 30, 60)),
    "batch": ("clips of 3 s in a batch", (1, 2, 4, 8)),
    "depth": ("blocks", (3, 6, 12, 24)),
}


@dataclass
class BenchmarkOptions:
    """What the benchmark measures; the same fields are the options of recipes/bench.py."""

    size: str = field(default="tiny", metadata={"help": "size of the random model", "choices": list(SIZES)})
    onnx: list[str] = field(default_factory=list, metadata={"help": "predict: folders of ONNX exports of the model"})
    timed: int = field(default=16, metadata={"help": "predict: number of clips to time; all are evaluated"})
    train_clips: int = field(default=4, metadata={"help": "train: number of clips in an epoch"})
    batch_size: int = field(default=2, metadata={"help": "train: batch size"})
    rounds: int = 3
    cases: list[str] | None = field(
        default=None, metadata={"help": "only cases whose names contain one of these words, and the first case"}
    )
    threads: int = field(default_factory=torch.get_num_threads)
    utterances: int = field(default=500, metadata={"help": "data: number of synthetic recordings"})
    seconds: float = field(default=0.1, metadata={"help": "data: length of each synthetic recording"})
    corpus: list[str] | None = field(
        default=None, metadata={"help": "data: corpora on disk instead of synthetic ones, as NAME=FOLDER"}
    )
    num_proc: int | None = field(default=None, metadata={"help": "data: number of processes of the builder"})
    hours: float = field(default=3.0, metadata={"help": "annotate: length of the long recording"})


def predict(options: BenchmarkOptions, model: str, files: Sequence[str], labels: Sequence[int] | None, machine) -> dict:
    """Prediction: recordings per second, and the agreement and UAR of the answers."""
    timed = min(options.timed, len(files))
    common = {"files": files, "threads": options.threads, "timed": timed}
    ours = cases.predicting
    jobs: dict[str, Case] = {
        "published usage, fp32": (cases.predicting_as_published, {"model": model, **common}),
        "fp32, torch's kernels": (ours, {"model": model, **common, "kernels": "torch"}),
        "fp32, a clip at a time": (ours, {"model": model, **common}),
        "fp32, batches of 8": (ours, {"model": model, **common, "batch_size": 8}),
        "bf16, batches of 8": (ours, {"model": model, **common, "batch_size": 8, "dtype": "bfloat16"}),
    }
    for folder in options.onnx:
        exported = read_json(Path(folder) / "export.json")
        jobs[f"ONNX, {'int8' if exported['int8'] else 'fp32'}"] = (ours, {"model": folder, **common})
    measured = take_turns(chosen(jobs, options.cases), options.rounds)
    first, *others = measured.values()
    plain = measured.get("fp32, torch's kernels", others[0] if others else first).results
    expected, classes = np.array(plain["probabilities"]), cases.classes_of(plain["probabilities"])
    flops = plain["flops"]
    for name, case in measured.items():
        probabilities = case.results.pop("probabilities")
        answers = cases.classes_of(probabilities)
        case.results["agreement"] = float(np.mean([a == b for a, b in zip(answers, classes, strict=True)]))
        case.results["difference"] = float(np.abs(np.array(probabilities) - expected).max())
        case.results["uar"] = None if labels is None else uar(labels, answers)
        case.results.setdefault("flops", flops)  # an exported model has the same number of operations
        _share_of_roof(name, case, machine)
    seconds = sum(soundfile.info(file).duration for file in files[:timed])
    what = f"{timed} recordings, {seconds:.0f} s of audio; answers on {len(files)}, beside torch's kernels in fp32"
    return _part(measured, what, timed, options)


def train(options: BenchmarkOptions, model: str, files: Sequence[str], labels, machine: Mapping[str, Any]) -> dict:
    """Training: clips per second."""
    clips = [soundfile.read(file, dtype="float32")[0][:48_000] for file in files[: options.train_clips]]
    common = {"model": model, "clips": clips, "threads": options.threads, "batch_size": options.batch_size}
    settings: dict[str, dict] = {
        "published usage, fp32": {"published": True},
        "fp32, torch's kernels": {"kernels": "torch"},
        "fp32": {},
        "bf16": {"bf16": True},
    }
    measured = _in_pairs(settings, common, options)
    for published in (True, False):
        counted = take_turns({"": (cases.training, common | {"published": published, "count": True})}, 1, warm=False)
        for name, case in measured.items():
            if name.startswith("published") == published:
                case.results["flops"] = counted[""].results["flops"]
    losses = {name: np.array(case.results.pop("losses")) for name, case in measured.items()}
    comparable = [name for name in ("fp32, torch's kernels", "fp32") if name in losses]  # same dropout in both
    for name, case in measured.items():
        if name in comparable:
            case.results["difference"] = float(np.abs(losses[name] - losses[comparable[0]]).max())
        _share_of_roof(name, case, machine)
        case.peak_mb = 0.0  # measured in `memory`, with clips of one length
    seconds = sum(len(clip) for clip in clips) / 16_000
    what = f"{len(clips)} clips, {seconds:.0f} s of audio, batches of {options.batch_size}, AdamW; difference of losses"
    return _part(measured, what, len(clips), options)


def memory(options: BenchmarkOptions, model: str, files: Sequence[str], labels, machine) -> dict:
    """Training: peak memory of one step."""
    noise = np.random.default_rng(0)
    length = round(16_000 * MEMORY_SECONDS)
    clips = [0.1 * noise.standard_normal(length, dtype=np.float32) for _ in range(MEMORY_BATCH)]
    common = {"model": model, "clips": clips, "threads": options.threads, "batch_size": MEMORY_BATCH}
    saving = {"checkpointing": True, "step_in_backward": True}
    settings: dict[str, dict] = {
        "published usage, fp32": {"published": True},
        "fp32": {},
        "fp32, checkpointing": {"checkpointing": True},
        "fp32, checkpointing, step in backward": saving,
        "fp32, the same, Adafactor": saving | {"optimizer": "adafactor"},
        "bf16": {"bf16": True},
        "bf16, checkpointing, step in backward": saving | {"bf16": True},
    }
    measured = _in_pairs(settings, common, options)
    for case in measured.values():
        case.results.pop("losses")
    what = f"one training step with {MEMORY_BATCH} clips of {MEMORY_SECONDS:g} s, AdamW in fp32 where not said"
    return _part(measured, what, 0, options) | {"by": "peak_mb"}


def loading(options: BenchmarkOptions, model: str, files: Sequence[str], labels, machine) -> dict:
    """Loading: from the start of a process to its first prediction."""
    common = {"file": files[0], "threads": options.threads}
    with tempfile.TemporaryDirectory() as folder:
        pickle = str(cases.pickled(model, Path(folder) / "pickled"))
        jobs: dict[str, Case] = {
            "pickle, as published": (cases.loading, common | {"model": pickle, "how": "published"}),
            "pickle, no weights drawn first": (cases.loading, common | {"model": pickle, "how": "pickle"}),
            "safetensors": (cases.loading, common | {"model": model, "how": "ours"}),
        }
        measured = take_turns(jobs, options.rounds)
    return _part(measured, "from the start of a process to its first prediction, warm disk", 0, options)


def data(options: BenchmarkOptions, model, files, labels, machine) -> dict:
    """Dataset builder: CPU seconds compared with a bare loop of decoding, resampling and encoding."""
    with tempfile.TemporaryDirectory() as folder:
        if options.corpus:
            roots = dict(item.split("=", 1) for item in options.corpus)
        else:
            tree = made_up_tree(Path(folder), options.utterances, options.seconds)
            roots = {name: str(root) for name, root in tree.items()}
        jobs: dict[str, Case] = {
            "bare loop": (bare_loop, {"roots": roots}),
            "build": (building, {"roots": roots, "num_proc": options.num_proc}),
        }
        measured = take_turns(jobs, options.rounds)
    facts = measured["build"].results
    names = ", ".join(roots) if options.corpus else "made-up recordings"
    what = f"{names}: {facts['utterances']} utterances, {facts['hours']:.2f} h; speed in CPU seconds"
    return _part(measured, what, facts["utterances"], options) | {"by": "cpu_s"}


def annotate(options: BenchmarkOptions, model: str, files: Sequence[str], labels, machine) -> dict:
    """Long recordings: one of hours compared with many passes over one of seconds, a twentieth as long in total."""
    short, hours = 10.0, options.hours
    with tempfile.TemporaryDirectory() as folder:
        brief = str(long_recording(Path(folder) / "short.wav", files, short))
        long = str(long_recording(Path(folder) / "long.wav", files, 3600 * hours))
        times = max(1, round(3600 * hours / short / 20))
        jobs: dict[str, Case] = {
            f"{short:g} s, {times} times": (cases.annotating, {"model": model, "file": brief, "times": times}),
            f"{hours:g} h": (cases.annotating, {"model": model, "file": long}),
        }
        jobs = {name: (case, kwargs | {"threads": options.threads}) for name, (case, kwargs) in jobs.items()}
        measured = take_turns(jobs, 1, warm=False)
    for case in measured.values():
        case.results["s_per_hour"] = 3600 * case.median / case.results.pop("seconds_of_audio")
    return _part(measured, "one recording from end to end", 0, options) | {"rounds": 1, "by": "s_per_hour"}


def growth(options: BenchmarkOptions, model: str, files, labels, machine) -> dict:
    """Growth: seconds and peak memory of a forward pass for several lengths, batch sizes and depths."""
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind, (what, points) in GROWTH.items():
            jobs: dict[str, Case] = {}
            for point in points:
                kwargs: dict[str, Any] = {"length": {"seconds": point}, "batch": {"clips": point}, "depth": {}}[kind]
                source = model
                if kind == "depth":
                    source = str(random_model(options.size, Path(folder) / str(point), point))
                jobs[str(point)] = (cases.computing, {"model": source, "threads": options.threads} | kwargs)
            measured = take_turns(jobs, options.rounds)
            results[kind] = {
                "what": what,
                "points": list(points),
                "seconds": [case.median for case in measured.values()],
                "peak_mb": [case.peak_mb for case in measured.values()],
            }
    return results


def _in_pairs(settings: Mapping[str, dict], common: dict[str, Any], options: BenchmarkOptions) -> dict[str, Measured]:
    """Measures each case in turn with the first one only, since large models don't all fit into memory at once.

    Seconds are scaled so that the first case has the same median in all pairs.
    """
    measured: dict[str, Measured] = {}
    first, *others = chosen(settings, options.cases)
    for name in others or [first]:
        pair: dict[str, Case] = {
            case: (cases.training, common | settings[case]) for case in dict.fromkeys((first, name))
        }
        results = take_turns(pair, options.rounds)
        measured.setdefault(first, results[first])
        scale = measured[first].median / results[first].median
        results[name].seconds = [seconds * scale for seconds in results[name].seconds]
        measured[name] = results[name]
    return measured


def _share_of_roof(name: str, case: Measured, machine: Mapping[str, Any]) -> None:
    kind = "bfloat16" if "bf16" in name else "int8" if "int8" in name else "float32"
    flops, roof = case.results.pop("flops"), machine["roof_gflops"].get(kind)
    case.results["gflops"] = flops / case.median / 1e9
    case.results["roof_share"] = case.results["gflops"] / roof if roof else None


def chosen(jobs: Mapping[str, Any], words: Sequence[str] | None) -> dict[str, Any]:
    """The first job, which is the reference, and the others whose names contain one of `words`; all without words."""
    return {
        name: job
        for number, (name, job) in enumerate(jobs.items())
        if number == 0 or not words or any(word in name for word in words)
    }


def _part(measured: Mapping[str, Measured], what: str, clips: int, options: BenchmarkOptions) -> dict[str, Any]:
    results = {name: case.to_dict() for name, case in measured.items()}
    return {"what": what, "rounds": options.rounds, "clips": clips, "size": options.size, "cases": results}


PARTS = {
    "predict": predict,
    "train": train,
    "memory": memory,
    "load": loading,
    "data": data,
    "annotate": annotate,
    "growth": growth,
}
