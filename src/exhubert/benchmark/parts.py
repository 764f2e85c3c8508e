"""The parts of the benchmark: which cases take turns, and what is made of what they find."""

import json
import tempfile
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from ..evaluation.metrics import uar
from . import cases
from .building import bare_loop, building, made_up_tree
from .harness import Case, Measured, take_turns
from .models import long_recording, random_model

MEMORY_SECONDS, MEMORY_BATCH = 3.0, 2
GROWTH = {
    "length": ("seconds of audio in one piece", (1, 3, 10, 30, 60)),
    "batch": ("clips of 3 s in a batch", (1, 2, 4, 8)),
    "depth": ("blocks", (3, 6, 12, 24)),
}


def predict(options: Namespace, model: str, files: Sequence[str], labels: Sequence[int] | None, machine) -> dict:
    """Recordings per second, with what the answers are worth."""
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
        exported = json.loads((Path(folder) / "export.json").read_text(encoding="utf-8"))
        jobs[f"ONNX, {'int8' if exported['int8'] else 'fp32'}"] = (ours, {"model": folder, **common})
    measured = take_turns(chosen(jobs, options.cases), options.rounds)
    first, *others = measured.values()
    plain = measured.get("fp32, torch's kernels", others[0] if others else first).found
    expected, classes = np.array(plain["probabilities"]), cases.classes_of(plain["probabilities"])
    work = plain["flops"]
    for name, case in measured.items():
        found = case.found.pop("probabilities")
        answers = cases.classes_of(found)
        case.found["agreement"] = float(np.mean([a == b for a, b in zip(answers, classes, strict=True)]))
        case.found["difference"] = float(np.abs(np.array(found) - expected).max())
        case.found["uar"] = None if labels is None else uar(labels, answers)
        case.found.setdefault("flops", work)  # an exported model computes the same
        _share_of_roof(name, case, machine)
    seconds = sum(soundfile.info(file).duration for file in files[:timed])
    what = f"{timed} recordings, {seconds:.0f} s of audio; answers on {len(files)}, beside torch's kernels in fp32"
    return _part(measured, what, timed, options)


def train(options: Namespace, model: str, files: Sequence[str], labels, machine: Mapping[str, Any]) -> dict:
    """Clips per second."""
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
                case.found["flops"] = counted[""].found["flops"]
    losses = {name: np.array(case.found.pop("losses")) for name, case in measured.items()}
    alike = [name for name in ("fp32, torch's kernels", "fp32") if name in losses]  # both draw the same dropout
    for name, case in measured.items():
        if name in alike:
            case.found["difference"] = float(np.abs(losses[name] - losses[alike[0]]).max())
        _share_of_roof(name, case, machine)
        case.peak_mb = 0.0  # has a part of its own, at one length
    seconds = sum(len(clip) for clip in clips) / 16_000
    what = f"{len(clips)} clips, {seconds:.0f} s of audio, batches of {options.batch_size}, AdamW; difference of losses"
    return _part(measured, what, len(clips), options)


def memory(options: Namespace, model: str, files: Sequence[str], labels, machine) -> dict:
    """Peak memory of training."""
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
        case.found.pop("losses")
    what = f"one training step with {MEMORY_BATCH} clips of {MEMORY_SECONDS:g} s, AdamW in fp32 where not said"
    return _part(measured, what, 0, options) | {"by": "peak_mb"}


def loading(options: Namespace, model: str, files: Sequence[str], labels, machine) -> dict:
    """From the start of a process to its first prediction."""
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


def data(options: Namespace, model, files, labels, machine) -> dict:
    """The builder beside a bare loop of decoding, resampling and encoding; in CPU seconds."""
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
    facts = measured["build"].found
    names = ", ".join(roots) if options.corpus else "made-up recordings"
    what = f"{names}: {facts['utterances']} utterances, {facts['hours']:.2f} h; speed in CPU seconds"
    return _part(measured, what, facts["utterances"], options) | {"by": "cpu_s"}


def annotate(options: Namespace, model: str, files: Sequence[str], labels, machine) -> dict:
    """A recording of hours beside one of seconds, given as often as takes a twentieth of the time."""
    short, hours = 10.0, options.hours
    with tempfile.TemporaryDirectory() as folder:
        brief = str(long_recording(Path(folder) / "short.wav", files, short))
        long = str(long_recording(Path(folder) / "long.wav", files, 3600 * hours))
        times = max(1, round(3600 * hours / short / 20))
        jobs: dict[str, Case] = {
            f"{short:g} s, {times} times": (cases.annotating, {"model": model, "file": brief, "times": times}),
            f"{hours:g} h": (cases.annotating, {"model": model, "file": long}),
        }
        jobs = {name: (case, found | {"threads": options.threads}) for name, (case, found) in jobs.items()}
        measured = take_turns(jobs, 1, warm=False)
    for case in measured.values():
        case.found["s_per_hour"] = 3600 * case.median / case.found.pop("seconds_of_audio")
    return _part(measured, "one recording from end to end", 0, options) | {"rounds": 1, "by": "s_per_hour"}


def growth(options: Namespace, model: str, files, labels, machine) -> dict:
    """Seconds and peak memory against length, batch and depth, with the power of growth between the points."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind, (what, points) in GROWTH.items():
            jobs: dict[str, Case] = {}
            for point in points:
                asked: dict[str, Any] = {"length": {"seconds": point}, "batch": {"clips": point}, "depth": {}}[kind]
                source = model
                if kind == "depth":
                    source = str(random_model(options.size, Path(folder) / str(point), point))
                jobs[str(point)] = (cases.computing, {"model": source, "threads": options.threads} | asked)
            measured = take_turns(jobs, options.rounds)
            found[kind] = {
                "what": what,
                "points": list(points),
                "seconds": [case.median for case in measured.values()],
                "peak_mb": [case.peak_mb for case in measured.values()],
            }
    return found


def _in_pairs(settings: Mapping[str, dict], common: dict[str, Any], options: Namespace) -> dict[str, Measured]:
    """Each case in turn with the first one, for large models don't all fit into memory at once.

    Seconds are given as if the first had taken its first median in every pair.
    """
    measured: dict[str, Measured] = {}
    first, *others = chosen(settings, options.cases)
    for name in others or [first]:
        pair: dict[str, Case] = {
            case: (cases.training, common | settings[case]) for case in dict.fromkeys((first, name))
        }
        found = take_turns(pair, options.rounds)
        measured.setdefault(first, found[first])
        scale = measured[first].median / found[first].median
        found[name].seconds = [seconds * scale for seconds in found[name].seconds]
        measured[name] = found[name]
    return measured


def _share_of_roof(name: str, case: Measured, machine: Mapping[str, Any]) -> None:
    kind = "bfloat16" if "bf16" in name else "int8" if "int8" in name else "float32"
    flops, roof = case.found.pop("flops"), machine["roof_gflops"].get(kind)
    case.found["gflops"] = flops / case.median / 1e9
    case.found["roof_share"] = case.found["gflops"] / roof if roof else None


def chosen(jobs: Mapping[str, Any], words: Sequence[str] | None) -> dict[str, Any]:
    """The reference, which comes first, and of the others those that were asked for."""
    return {
        name: job
        for number, (name, job) in enumerate(jobs.items())
        if number == 0 or not words or any(word in name for word in words)
    }


def _part(measured: Mapping[str, Measured], what: str, clips: int, options: Namespace) -> dict[str, Any]:
    found = {name: case.to_dict() for name, case in measured.items()}
    return {"what": what, "rounds": options.rounds, "clips": clips, "size": options.size, "cases": found}


PARTS = {
    "predict": predict,
    "train": train,
    "memory": memory,
    "load": loading,
    "data": data,
    "annotate": annotate,
    "growth": growth,
}
