"""Runs cases in turn, each in a process of its own, and keeps their seconds and their peak memory."""

import multiprocessing
import os
import platform
import resource
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from tqdm.auto import tqdm

_ROOF_SIZE = 2048


@dataclass
class Measured:
    """What one case took.

    Attributes:
        seconds: Of each round.
        found: What the case returned in its last round.
        peak_mb: Most memory its process held at any time, loading included.
    """

    seconds: list[float] = field(default_factory=list)
    found: dict[str, Any] = field(default_factory=dict)
    peak_mb: float = 0.0

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def to_dict(self) -> dict[str, Any]:
        least, most = min(self.seconds), max(self.seconds)
        return {"median_s": self.median, "least_s": least, "most_s": most, "peak_mb": self.peak_mb} | self.found


def take_turns(
    cases: Mapping[str, tuple[Callable[..., Callable[[], dict]], dict[str, Any]]], rounds: int
) -> dict[str, Measured]:
    """Measures cases that take turns over several rounds, after one that isn't counted.

    Args:
        cases: By name a function at the top of a module and its arguments. It is called in a new process, prepares
            everything, and returns what does a round and gives a dictionary of what it found.
        rounds: How often each one runs.

    Raises:
        RuntimeError: A case failed; the message is its own.
    """
    context = multiprocessing.get_context("spawn")
    measured = {name: Measured() for name in cases}
    workers = {}
    try:
        for name, (prepare, arguments) in cases.items():
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, prepare, arguments), daemon=True)
            process.start()
            workers[name] = (process, ours)
            _ask(name, workers[name], "prepare")
        for counted in tqdm(range(-1, rounds), desc="rounds", unit="round"):
            for name, worker in workers.items():
                seconds, found = _ask(name, worker, "round")
                if counted >= 0:
                    measured[name].seconds.append(seconds)
                    measured[name].found = found
        for name, worker in workers.items():
            measured[name].peak_mb = _ask(name, worker, "memory")
    finally:
        for process, _ in workers.values():
            process.terminate()
            process.join()
    return measured


def _ask(name: str, worker, what: str) -> Any:
    process, pipe = worker
    pipe.send(what)
    while not pipe.poll(1.0):
        if not process.is_alive():
            raise RuntimeError(f"The case {name!r} ended while it was asked to {what}; exit code {process.exitcode}.")
    answer = pipe.recv()
    if isinstance(answer, Exception):
        raise RuntimeError(f"The case {name!r} failed: {answer}") from answer
    return answer


def _serve(pipe, prepare: Callable[..., Callable[[], dict]], arguments: dict[str, Any]) -> None:
    step: Callable[[], dict] = dict
    while True:
        what = pipe.recv()
        try:
            if what == "prepare":
                step = prepare(**arguments)
                pipe.send(None)
            elif what == "round":
                start = time.perf_counter()
                found = step()
                pipe.send((time.perf_counter() - start, found))
            else:
                pipe.send(_peak_mb())
        except Exception as error:
            pipe.send(RuntimeError(f"{type(error).__name__}: {error}"))


def _peak_mb() -> float:
    """Most memory this process has held; Linux hands a parent's `ru_maxrss` on, so that is the last resort."""
    told = Path("/proc/self/status")
    for line in told.read_text(encoding="utf-8").splitlines() if told.is_file() else ():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def machine() -> dict[str, Any]:
    """What this was measured on, with the rate that a large product of matrices reaches, in GFLOP/s."""
    told = Path("/proc/cpuinfo")
    lines = told.read_text(encoding="utf-8").splitlines() if told.is_file() else []
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    known = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "features": [name for name in known if name in flags],
        "torch": torch.__version__.split("+")[0],
        "roof_gflops": {"float32": _roof(torch.float32), "bfloat16": _roof(torch.bfloat16)},
    }


def _roof(dtype: torch.dtype) -> float:
    """The best of five products of 2048 x 2048 matrices, in GFLOP/s."""
    left, right = (torch.randn(_ROOF_SIZE, _ROOF_SIZE).to(dtype) for _ in range(2))
    best = float("inf")
    for _ in range(6):
        start = time.perf_counter()
        left @ right
        best = min(best, time.perf_counter() - start)
    return 2 * _ROOF_SIZE**3 / best / 1e9
