"""Runs benchmark cases in turn, each in its own process, and measures their time and peak memory."""

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
    """Measurements of one case.

    Attributes:
        seconds: Wall-clock seconds of each round.
        cpu: CPU seconds of each round, over all threads and finished child processes.
        results: Values that the case returned; if several rounds returned the same key, the first value.
        peak_mb: Peak memory of its process during the rounds, in MiB, without peaks during preparation.
    """

    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    results: dict[str, Any] = field(default_factory=dict)
    peak_mb: float = 0.0

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def to_dict(self) -> dict[str, Any]:
        least, most = min(self.seconds), max(self.seconds)
        facts = {"median_s": self.median, "least_s": least, "most_s": most, "cpu_s": statistics.median(self.cpu)}
        return facts | {"peak_mb": self.peak_mb} | self.results


def take_turns(cases: Mapping[str, Case], rounds: int, warm: bool = True) -> dict[str, Measured]:
    """Measures cases that take turns over several rounds.

    Args:
        cases: By name a module-level function and its arguments. The function is called in a new process, prepares
            everything, and returns a function that runs one round and returns a dictionary of results.
        rounds: Number of measured rounds.
        warm: Start with a round that isn't measured.

    Raises:
        RuntimeError: A case failed; the message includes that of the original error.
    """
    context = multiprocessing.get_context("spawn")
    measured = {name: Measured() for name in cases}
    workers = {}
    try:
        for name, (prepare, arguments) in cases.items():
            pipe, worker_pipe = context.Pipe()
            process = context.Process(target=_serve, args=(worker_pipe, prepare, arguments), daemon=True)
            process.start()
            workers[name] = (process, pipe)
            _ask(name, workers[name], "prepare")
        for counted in tqdm(range(-int(warm), rounds), desc="rounds", unit="round"):
            for name, worker in workers.items():
                seconds, cpu, results = _ask(name, worker, "round")
                measured[name].results = results | measured[name].results
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


def _ask(name: str, worker, command: str) -> Any:
    process, pipe = worker
    pipe.send(command)
    while not pipe.poll(1.0):
        if not process.is_alive():
            raise RuntimeError(f"The process of case {name!r} ended during {command}; exit code {process.exitcode}.")
    answer = pipe.recv()
    if isinstance(answer, Exception):
        raise RuntimeError(f"The case {name!r} failed: {answer}") from answer
    return answer


def _serve(pipe, prepare: Callable[..., Callable[[], dict]], arguments: dict[str, Any]) -> None:
    step: Callable[[], dict] = dict
    while True:
        command = pipe.recv()
        try:
            if command == "prepare":
                step = prepare(**arguments)
                _reset_peak()
                pipe.send(None)
            elif command == "round":
                start, cpu = time.perf_counter(), _cpu_seconds()
                results = step()
                pipe.send((time.perf_counter() - start, _cpu_seconds() - cpu, results))
            else:
                pipe.send(peak_mb())
        except Exception as error:
            pipe.send(RuntimeError(f"{type(error).__name__}: {error}"))


def _cpu_seconds() -> float:
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def _reset_peak() -> None:
    """Resets the peak memory that Linux records for this process."""
    file = Path("/proc/self/clear_refs")
    if file.is_file():
        file.write_text("5", encoding="utf-8")


def peak_mb() -> float:
    """Peak memory of this process in MiB. `ru_maxrss` is the last resort: on Linux it is inherited from the parent."""
    status = Path("/proc/self/status")
    for line in status.read_text(encoding="utf-8").splitlines() if status.is_file() else ():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def machine() -> dict[str, Any]:
    """Description of this machine, with the rates that a large matrix product reaches in each data type, in GFLOP/s.

    `float32` is the faster of torch's own product and oneDNN's.
    """
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.is_file() else []
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    known = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    wide, narrow = (torch.randn(_ROOF_SIZE, _ROOF_SIZE).to(dtype) for dtype in (torch.float32, torch.bfloat16))
    plain = _roof(lambda: wide @ wide)
    roofs = {"float32": plain, "float32 in torch": plain, "bfloat16": _roof(lambda: narrow @ narrow)}
    if has_onednn():
        roofs["float32"] = max(plain, _roof(lambda: multiply(wide, wide)))
        roofs["int8"] = _roof(_int8_product())
    return {
        "processor": model or platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "features": [name for name in known if name in flags],
        "torch": torch.__version__.split("+")[0],
        "roof_gflops": roofs,
    }


def _int8_product() -> Callable[[], torch.Tensor]:
    weight = torch.randint(-127, 127, (_ROOF_SIZE, _ROOF_SIZE), dtype=torch.int8)
    packed = torch.ops.onednn.qlinear_prepack(weight, [_ROOF_SIZE, _ROOF_SIZE])
    rows = torch.randint(0, 255, (_ROOF_SIZE, _ROOF_SIZE), dtype=torch.uint8)
    scales, zeros = torch.ones(_ROOF_SIZE), torch.zeros(_ROOF_SIZE, dtype=torch.int32)
    output: tuple = (None, 1.0, 0, torch.float32, "none", [], "")
    return lambda: torch.ops.onednn.qlinear_pointwise(rows, 1.0, 128, packed, scales, zeros, *output)


def _roof(product: Callable[[], torch.Tensor]) -> float:
    """Best rate over eleven products of 2048 x 2048 matrices, in GFLOP/s."""
    best = float("inf")
    for _ in range(11):
        start = time.perf_counter()
        product()
        best = min(best, time.perf_counter() - start)
    return 2 * _ROOF_SIZE**3 / best / 1e9
