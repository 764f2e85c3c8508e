"""Classifies large collections of recordings with many processes; a run may be stopped and resumed at any time.

Recordings are assigned to shards by name. A rank takes one shard at a time, under a file lock that ends with its
process, and resumes what an earlier, stopped rank left there. Ranks don't communicate, so any number of them may start
and die: nothing is done twice and nothing is lost.
"""

import hashlib
import json
import math
import os
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from filelock import Timeout
from tqdm.auto import tqdm

from ..audio import SAMPLING_RATE
from ..configuration_exhubert import is_regression
from ..cpu import keep_freed_memory
from ..labels import AROUSALS, SIX_CLASSES, VALENCES, names_by_index
from ..pipeline_exhubert import ExHuBERTPipeline, check_channel
from .recordings import EACH, has_marginals, load_pipeline
from .shards import Shard, check_folder, open_folder, read_settings, shards_of, unescaped

_SHARDS_PER_RANK, _SHARD_SIZE = 16, 1000
_POLL_SECONDS = 1.0


@dataclass(frozen=True)
class AnnotationOptions:
    """Options of [`annotate`].

    Attributes:
        format: `jsonl` or `parquet`. Only Parquet stores types; `datasets` guesses those of JSONL from the first file,
            which fails if all recordings in that are silent.
        timeline: Whether to store every window, not only the result for the whole recording.
        window_s: Length of a window in seconds; by default as in training.
        hop_s: Seconds from one window to the next; by default the window length.
        keep_silence: Whether to classify silent windows and recordings too.
        channel: Index of the channel to classify, from 0; `each` for a result per channel; by default all are mixed.
        dtype: Precision of the encoder's linear layers, see `load_pipeline`.
        kernels: CPU kernels, see [`exhubert.cpu.use_kernels`].
        batch_size: Windows per batch; only affects speed.
        retry: Whether to retry recordings that were set aside as unusable.
    """

    format: str = "jsonl"
    timeline: bool = False
    window_s: float | None = None
    hop_s: float | None = None
    keep_silence: bool = False
    channel: int | str | None = None
    dtype: str = "float32"
    kernels: str = "auto"
    batch_size: int = 1
    retry: bool = False


@dataclass(frozen=True)
class AnnotationReport:
    """Summary of the work of one rank.

    Attributes:
        rank: This rank, from 0.
        ranks: Number of ranks.
        classified: Recordings this rank classified.
        failures: Why recordings that this rank tried can't be used, one sentence each.
        unusable: On rank 0, the number of all recordings that were set aside; None on other ranks.
    """

    rank: int
    ranks: int
    classified: int
    failures: list[str]
    unusable: int | None


def annotate(
    files: Sequence[str], model: str | Path, output: str | Path, options: AnnotationOptions | None = None
) -> AnnotationReport:
    """Runs one rank until no recordings are left; rank 0 also waits for the others and takes over from dead ones.

    The environment variables RANK, WORLD_SIZE and LOCAL_RANK, which `accelerate launch` sets, identify the rank.

    Args:
        files: Paths of all recordings, the same on every rank.
        model: Folder or hub id.
        output: Folder that all ranks and machines share.
        options: By default `AnnotationOptions()`.

    Raises:
        ValueError: An option is wrong, the folder was made with other settings, or it holds something else.
        RuntimeError: The model is incomplete.
        OSError: The model can't be read, or the output can't be written.
    """
    options, output = options or AnnotationOptions(), Path(output)
    check_folder(output, [*files, model])
    rank, ranks = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    keep_freed_memory()
    classifier = load_pipeline(model, dtype=options.dtype, kernels=options.kernels)
    windows = {
        "window_s": options.window_s,
        "hop_s": options.hop_s,
        "skip_silence": not options.keep_silence,
        "batch_size": options.batch_size,
    }
    if options.channel != EACH:
        check_channel(options.channel)
    noise = np.random.default_rng(0).standard_normal(SAMPLING_RATE, dtype=np.float32)
    classifier(0.1 * noise, **windows)  # wrong options must raise before they are stored
    names = ("format", "timeline", "window_s", "hop_s", "keep_silence", "dtype", "channel")
    result_options = {"model": fingerprint(classifier)} | {name: getattr(options, name) for name in names}
    config = classifier.model.config
    result_options |= {"regression": is_regression(config), "marginals": has_marginals(config)}
    classes = names_by_index(config.id2label)
    num_shards = max(_SHARDS_PER_RANK * ranks, math.ceil(len(files) / _SHARD_SIZE))
    settings = open_folder(output, result_options, classes, num_shards)
    shards = shards_of(output, settings, files)
    if options.retry:
        for shard in shards:
            shard.forget_errors()
    first = rank * len(shards) // ranks
    classified, failures = _work(
        [*shards[first:], *shards[:first]], classifier, windows | {"channel": options.channel}, rank, ranks
    )
    unusable = None if rank else sum(len(shard.unusable()) for shard in shards)
    return AnnotationReport(rank, ranks, classified, failures, unusable)


def _work(
    shards: list[Shard], classifier: ExHuBERTPipeline, windows: dict[str, Any], rank: int, ranks: int
) -> tuple[int, list[str]]:
    """Processes the shards no other rank holds; returns how many were classified, and why others can't be used."""
    waiting = {shard: len(shard.waiting()) for shard in shards}
    queue = deque(shard for shard in shards if waiting[shard])
    share = math.ceil(sum(waiting.values()) / ranks)
    classified, busy = 0, 0
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
                busy = 0
            except Timeout:
                queue.append(shard)
                busy += 1
            if queue and busy >= len(queue):  # other ranks hold all that is left
                if rank:
                    break
                busy = 0
                time.sleep(_POLL_SECONDS)
    return classified, failures


def read_annotations(folder: str | Path) -> pd.DataFrame:
    """All results in an output folder, including unfinished shards: one row per recording, sorted by file.

    If channels were classified by themselves, there is one row for each, with its index in the column `channel`.

    Columns: `file`, `label` unless the model is a regression model, a probability for each class or an output of a
    regression model (`scores.calm`), for models of the six classes `arousal.low` to `valence.positive`, `seconds`,
    `windows`: their number, or with `timeline` a list of dicts, and `silent`. A silent recording has no label, and NaN
    in the columns of numbers.

    Raises:
        FileNotFoundError: The folder isn't one that `exhubert.annotate` wrote.
    """
    settings = read_settings(Path(folder))
    rows = [row for shard in shards_of(Path(folder), settings) for row in shard.rows()]
    marginals = {"arousal": AROUSALS, "valence": VALENCES}
    groups = {"scores": settings["classes"]}
    if settings.get("marginals", set(settings["classes"]) == set(SIX_CLASSES)):  # earlier versions didn't store it
        groups |= marginals
    # silent recordings have no such groups, but the same columns
    whole = [row | {key: row.get(key) or dict.fromkeys(names) for key, names in groups.items()} for row in rows]
    table = pd.json_normalize(whole, max_level=1).drop(columns=list(marginals), errors="ignore")
    numbers = [f"{key}.{name}" for key, names in groups.items() for name in names if rows]
    silent = pd.Series([bool(row.get("silent")) for row in rows], dtype=bool)  # results of earlier versions have none
    names = pd.Series([unescaped(row["file"]) for row in rows], dtype=object)  # pandas' own strings must be UTF-8
    table = table.astype(dict.fromkeys(numbers, float)).assign(file=names, silent=silent)
    return table.sort_values(["file", "channel"] if "channel" in table else "file", ignore_index=True)


def fingerprint(classifier: ExHuBERTPipeline) -> str:
    """Hash of what a model computes: its weights, configuration and feature extractor, but not its name."""
    config = classifier.model.config.to_diff_dict()
    settings = {key: config[key] for key in config if key not in ("transformers_version", "dtype", "_name_or_path")}
    extractor = classifier.feature_extractor.to_dict()
    digest = hashlib.sha256(json.dumps([settings, extractor], sort_keys=True, default=str).encode())
    if isinstance(classifier.model, torch.nn.Module):
        for name, weight in sorted(classifier.model.state_dict().items()):
            digest.update(name.encode())
            digest.update(weight.reshape(-1).view(torch.uint8).cpu().numpy())
    else:  # exported
        for path in sorted(Path(classifier.model.name_or_path).glob("model.onnx*")):
            with path.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    return f"sha256:{digest.hexdigest()[:32]}"
