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

from ..cpu import has_onednn, multiply

_ROOF_SIZE = 2048
Case = tuple[Callable[..., Callable[[], dict]], dict[str, Any]]


@dataclass
class Measured:
    """What one case took.

    Attributes:
        seconds: Of each round.
        cpu: Seconds of the processor in each round, over all threads and finished processes of its own.
        found: What the case returned; of what several rounds returned, the first.
        peak_mb: Most memory its process held in the rounds, in MiB; what preparing them took for a moment is left out.
    """

    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    found: dict[str, Any] = field(default_factory=dict)
    peak_mb: float = 0.0

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def to_dict(self) -> dict[str, Any]:
        least, most = min(self.seconds), max(self.seconds)
        facts = {"median_s": self.median, "least_s": least, "most_s": most, "cpu_s": statistics.median(self.cpu)}
        return facts | {"peak_mb": self.peak_mb} | self.found


def take_turns(cases: Mapping[str, Case], rounds: int, warm: bool = True) -> dict[str, Measured]:
    """Measures cases that take turns over several rounds.

    Args:
        cases: By name a function at the top of a module and its arguments. It is called in a new process, prepares
            everything, and returns what does a round and gives a dictionary of what it found.
        rounds: How often each one runs.
        warm: Begin with a round that isn't counted.

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
        for counted in tqdm(range(-int(warm), rounds), desc="rounds", unit="round"):
            for name, worker in workers.items():
                seconds, cpu, found = _ask(name, worker, "round")
                measured[name].found = found | measured[name].found
                if counted >= 0:
                    measured[name].seconds.append(seconds)
                    measured[name].cpu.append(cpu)
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
                _forget_peak()
                pipe.send(None)
            elif what == "round":
                start, cpu = time.perf_counter(), _cpu_seconds()
                found = step()
                pipe.send((time.perf_counter() - start, _cpu_seconds() - cpu, found))
            else:
                pipe.send(peak_mb())
        except Exception as error:
            pipe.send(RuntimeError(f"{type(error).__name__}: {error}"))


def _cpu_seconds() -> float:
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def _forget_peak() -> None:
    """Makes Linux count the peak of this process from now on."""
    switch = Path("/proc/self/clear_refs")
    if switch.is_file():
        switch.write_text("5", encoding="utf-8")


def peak_mb() -> float:
    """Most memory this process has held; Linux hands a parent's `ru_maxrss` on, so that is the last resort."""
    told = Path("/proc/self/status")
    for line in told.read_text(encoding="utf-8").splitlines() if told.is_file() else ():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def machine() -> dict[str, Any]:
    """What this was measured on, with the rates that a large product of matrices reaches, in GFLOP/s.

    `float32` is the faster of torch's own product and oneDNN's.
    """
    told = Path("/proc/cpuinfo")
    lines = told.read_text(encoding="utf-8").splitlines() if told.is_file() else []
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    known = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    wide, narrow = (torch.randn(_ROOF_SIZE, _ROOF_SIZE).to(dtype) for dtype in (torch.float32, torch.bfloat16))
    own = _roof(lambda: wide @ wide)
    roofs = {"float32": own, "float32 in torch": own, "bfloat16": _roof(lambda: narrow @ narrow)}
    if has_onednn():
        roofs["float32"] = max(own, _roof(lambda: multiply(wide, wide)))
        roofs["int8"] = _roof(_product_in_8_bits())
    return {
        "processor": model or platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "features": [name for name in known if name in flags],
        "torch": torch.__version__.split("+")[0],
        "roof_gflops": roofs,
    }


def _product_in_8_bits() -> Callable[[], torch.Tensor]:
    weight = torch.randint(-127, 127, (_ROOF_SIZE, _ROOF_SIZE), dtype=torch.int8)
    packed = torch.ops.onednn.qlinear_prepack(weight, [_ROOF_SIZE, _ROOF_SIZE])
    rows = torch.randint(0, 255, (_ROOF_SIZE, _ROOF_SIZE), dtype=torch.uint8)
    scales, zeros = torch.ones(_ROOF_SIZE), torch.zeros(_ROOF_SIZE, dtype=torch.int32)
    how: tuple = (None, 1.0, 0, torch.float32, "none", [], "")
    return lambda: torch.ops.onednn.qlinear_pointwise(rows, 1.0, 128, packed, scales, zeros, *how)


def _roof(product: Callable[[], torch.Tensor]) -> float:
    """The best of ten products of 2048 x 2048 matrices, in GFLOP/s."""
    best = float("inf")
    for _ in range(11):
        start = time.perf_counter()
        product()
        best = min(best, time.perf_counter() - start)
    return 2 * _ROOF_SIZE**3 / best / 1e9
