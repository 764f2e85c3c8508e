"""`python -m exhubert.annotate`: any number of recordings over many devices and machines, restartable at any moment.

The recordings are dealt to shards by their names. A rank takes one shard at a time, under a lock of the file system
that ends with its process, and goes on in it where whoever had it before was stopped. Ranks never talk to each other,
so any number of them may come, go and die: nothing is done twice and nothing is lost.
"""

import argparse
import hashlib
import json
import math
import os
import sys
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from filelock import Timeout
from tqdm.auto import tqdm
from transformers.utils import logging

from ..audio import SAMPLING_RATE
from ..inference.recordings import load_pipeline
from ..cpu import keep_freed_memory
from ..labels import names_by_index
from ..pipeline_exhubert import ExHuBERTPipeline
from .predict import (
    SUFFIXES,
    UNUSABLE_FILES,
    add_computing_options,
    add_window_options,
    find_recordings,
    window_settings,
)
from ..inference.shards import ERRORS, RESULTS, Shard, open_folder, read_settings, shards_of, unescaped

_SHARDS_PER_RANK, _SHARD_SIZE = 16, 1000
_SHOWN = 10
_POLL_SECONDS = 1.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one rank; 0, 1 for an error, or on rank 0 also 2 if some of all recordings couldn't be used."""
    options = _parser().parse_args(arguments)
    try:
        return run(options)
    except (ValueError, RuntimeError, OSError) as error:
        print(f"exhubert: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("exhubert: stopped.", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m exhubert.annotate",
        description="Classify any number of recordings: accelerate launch -m exhubert.annotate PATH ... A stopped run "
        "goes on when it is started again with the same options and any number of ranks.",
    )
    parser.add_argument("paths", nargs="*", metavar="PATH", help="recordings, folders of them, or patterns")
    parser.add_argument("--list", type=Path, help="text file of more recordings, a path in each line")
    parser.add_argument("--null", action="store_true", help="paths in --list end in NUL, as of find -print0")
    parser.add_argument("--model", required=True, help="folder or hub id of an ExHuBERT")
    parser.add_argument("--output", required=True, type=Path, help="folder that all ranks and machines share")
    parser.add_argument("--format", default="jsonl", choices=["jsonl", "parquet"])
    parser.add_argument("--timeline", action="store_true", help="the emotion of each window, not only of the whole")
    add_window_options(parser)
    parser.add_argument("--batch_size", type=int, default=1, help="windows at a time; changes nothing but the speed")
    add_computing_options(parser)
    parser.add_argument("--retry", action="store_true", help="try recordings again that were set aside as unusable")
    return parser


def run(options: argparse.Namespace) -> int:
    """Works as one rank until nothing is left to do; rank 0 also waits for the others and takes over from dead ones.

    Which rank this is, is read from the variables that `accelerate launch` sets: RANK, WORLD_SIZE and LOCAL_RANK.

    Raises:
        ValueError, OSError, RuntimeError: An option, the model or the output is wrong.
    """
    rank, ranks = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    files = list(dict.fromkeys([*find_recordings(options.paths), *_listed(options)]))
    if not files:
        places = [*options.paths, *([f"--list {options.list}"] if options.list else [])]
        raise ValueError(f"No recordings in {', '.join(places) or 'PATH'}; known endings are {' '.join(SUFFIXES)}.")
    logging.disable_progress_bar()
    keep_freed_memory()
    classifier = load_pipeline(options.model, _device(), options.dtype, kernels=options.kernels)
    windows = window_settings(options) | {"batch_size": options.batch_size}
    noise = np.random.default_rng(0).standard_normal(SAMPLING_RATE, dtype=np.float32)
    classifier(0.1 * noise, **windows)  # wrong options shall raise before they are settled
    names = ("format", "timeline", "window_s", "hop_s", "keep_silence", "dtype")
    settled = {"model": fingerprint(classifier)} | {name: getattr(options, name) for name in names}
    classes = names_by_index(classifier.model.config.id2label)
    number = max(_SHARDS_PER_RANK * ranks, math.ceil(len(files) / _SHARD_SIZE))
    settings = open_folder(options.output, settled, classes, number)
    shards = shards_of(options.output, settings, files)
    if options.retry:
        for shard in shards:
            shard.forget_errors()
    first = rank * len(shards) // ranks
    classified, failures = _work([*shards[first:], *shards[:first]], classifier, windows, rank, ranks)
    lines = failures[:_SHOWN]
    if len(failures) > _SHOWN:
        lines.append(f"{len(failures) - _SHOWN} more are in {options.output / ERRORS}.")
    lines.append(f"rank {rank} of {ranks}: {classified} recordings classified, {len(failures)} can't be used.")
    unusable = 0
    if rank == 0:
        unusable = sum(len(shard.unusable()) for shard in shards)
        lines.append(f"{len(files) - unusable} of {len(files)} recordings are in {options.output / RESULTS}.")
        if unusable:
            lines.append(f"{unusable} can't be used: see {options.output / ERRORS}; --retry tries them again.")
    report = "".join(f"exhubert: {line}\n" for line in lines)
    print(f"\n{report}" if rank else report, end="", file=sys.stderr, flush=True)  # the bar of rank 0 has no line end
    return UNUSABLE_FILES if unusable else 0


def _work(
    shards: list[Shard], classifier: ExHuBERTPipeline, windows: dict[str, Any], rank: int, ranks: int
) -> tuple[int, list[str]]:
    """Works on shards that nobody else is at, in this order; how many were classified, and why others can't be used."""
    waiting = {shard: len(shard.waiting()) for shard in shards}
    queue = deque(shard for shard in shards if waiting[shard])
    share = math.ceil(sum(waiting.values()) / ranks)
    classified, held = 0, 0
    failures: list[str] = []
    hidden = os.environ.get("LOCAL_RANK", "0") != "0"
    with tqdm(total=share, desc=f"rank {rank} of {ranks}", unit="recording", disable=hidden) as bar:
        while queue:
            shard = queue.popleft()
            try:
                with shard.lock():
                    for failure in shard.work(classifier, windows):
                        if failure is None:
                            classified += 1
                        else:
                            failures.append(failure)
                        bar.total = max(share, bar.n + 1)
                        bar.update()
                held = 0
            except Timeout:
                queue.append(shard)
                held += 1
            if queue and held >= len(queue):  # others are at all that is left
                if rank:
                    break
                held = 0
                time.sleep(_POLL_SECONDS)
    return classified, failures


def read_annotations(folder: str | Path) -> pd.DataFrame:
    """All results in an output folder, those of unfinished shards too: a row for each recording, sorted by file.

    Columns: `file`, `label`, a probability for each class (`scores.calm`), for a model of the six classes
    `arousal.low` to `valence.positive`, `seconds`, and `windows`: their number, or with `--timeline` a list of dicts.

    Raises:
        FileNotFoundError: The folder isn't one that `exhubert.annotate` wrote.
    """
    rows = [row for shard in shards_of(Path(folder), read_settings(Path(folder))) for row in shard.rows()]
    table = pd.json_normalize(rows, max_level=1)
    names = pd.Series([unescaped(row["file"]) for row in rows], dtype=object)  # pandas' own strings must be UTF-8
    return table.assign(file=names).sort_values("file", ignore_index=True)


def fingerprint(classifier: ExHuBERTPipeline) -> str:
    """Tells models apart by what they compute: weights, configuration and feature extractor, but not by their names."""
    config = classifier.model.config.to_diff_dict()
    facts = {key: config[key] for key in config if key not in ("transformers_version", "dtype", "_name_or_path")}
    extractor = classifier.feature_extractor.to_dict()
    digest = hashlib.sha256(json.dumps([facts, extractor], sort_keys=True, default=str).encode())
    if isinstance(classifier.model, torch.nn.Module):
        for name, weight in sorted(classifier.model.state_dict().items()):
            digest.update(name.encode())
            digest.update(weight.reshape(-1).view(torch.uint8).cpu().numpy())
    else:  # exported
        for path in sorted(Path(classifier.model.name_or_path).glob("model.onnx*")):
            with path.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    return f"sha256:{digest.hexdigest()[:32]}"


def _listed(options: argparse.Namespace) -> list[str]:
    if not options.list:
        return []
    content = options.list.read_bytes()
    return [os.fsdecode(name) for name in content.split(b"\0" if options.null else b"\n") if name]


def _device() -> str | None:
    """Each local rank its own, as `accelerate launch` means it; None for the fastest where it launched no ranks."""
    if os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true"):
        return "cpu"
    found = torch.accelerator.current_accelerator(check_available=True)
    if found is None or "LOCAL_RANK" not in os.environ:
        return None
    return f"{found.type}:{int(os.environ['LOCAL_RANK']) % torch.accelerator.device_count()}"


if __name__ == "__main__":
    sys.exit(main())
