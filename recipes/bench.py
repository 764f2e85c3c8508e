"""Benchmarks prediction, training, model loading and dataset building against published usage, on this machine.

    python recipes/bench.py all --size tiny --json runs/bench.json
    python recipes/bench.py predict --model runs/demo/exhubert --onnx runs/demo/onnx --data runs/demo/emoset
    python recipes/bench.py data --corpus emo_db=corpora/emo_db
    python recipes/bench.py render --json recipes/bench_large.json --readme README.md

Published usage is what the published code and its card do: fp32, one clip at a time, padded to 3 s, a linear layer
after every frozen copy; `exhubert.benchmark.cases` reproduces it on the same weights. Each case runs in a separate
process, whose peak memory is reported, and the cases alternate round by round, since machine speed drifts. Without
--model the model has random weights (with --data its classifier is fitted); without --data the clips are noise of 1 to
3 s, since speed doesn't depend on their content. Parts are added to an existing --json, so that long benchmarks can be
split.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import torch
from transformers import HfArgumentParser

from exhubert.benchmark.harness import machine
from exhubert.benchmark.models import fit_head, random_model, recordings
from exhubert.benchmark.parts import PARTS, BenchmarkOptions
from exhubert.benchmark.report import markdown, plot, write_into
from exhubert.cli.program import run_program
from exhubert.files import is_own_picture, read_json, write_json
from exhubert.targets import check_model_target, check_target, has_keys, model_folder

ALL = ("predict", "train", "memory", "load", "data")


def main(arguments: list[str]) -> None:
    parser = HfArgumentParser(
        BenchmarkOptions, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=[*PARTS, "all", "render"], help=f"all: {', '.join(ALL)}")
    parser.add_argument("--model", help="folder of a classifier, instead of the random model")
    parser.add_argument("--keep_model", type=Path, metavar="FOLDER", help="only write the random model here")
    parser.add_argument("--data", help="folder of a built dataset; uses its test partition")
    parser.add_argument("--corpora", nargs="+", help="only these corpora of --data")
    parser.add_argument("--clips", type=int, default=16, help="maximum number of clips")
    parser.add_argument("--json", type=Path, help="also write the results here, and a plot next to them")
    parser.add_argument("--name", help="name of the part in --json, to keep results of several models")
    parser.add_argument("--readme", type=Path, help="render: README whose performance section is rewritten")
    benchmark, options = parser.parse_args_into_dataclasses(arguments)
    if options.part == "render":
        if not (options.json and options.readme):
            raise ValueError("render puts the figures of --json into --readme; give both.")
        write_into(options.readme, read_json(options.json))
        return
    torch.set_num_threads(benchmark.threads)
    if options.keep_model:
        check_model_target("--keep_model", options.keep_model, [options.data] if options.data else [])
        with model_folder(options.keep_model) as folder:
            made_up_model(benchmark.size, options, folder)
        return
    check_results(benchmark, options)
    report: dict = {"machine": machine(), "parts": {}}
    if options.json and options.json.is_file():
        report["parts"] = read_json(options.json)["parts"]
    wanted = ALL if options.part == "all" else (options.part,)
    with tempfile.TemporaryDirectory() as work:
        model, files, labels = "", [], None
        if wanted != ("data",):
            model = options.model or str(made_up_model(benchmark.size, options, Path(work) / "model"))
            files, labels = recordings(Path(work) / "clips", options.clips, options.data, options.corpora)
        for part in wanted:
            print(f"{part} ...", file=sys.stderr)
            results = PARTS[part](benchmark, model, files, labels, report["machine"])
            report["parts"][options.name or part] = results
            print(markdown(report | {"parts": {options.name or part: results}}), flush=True)
            if options.json:
                options.json.parent.mkdir(parents=True, exist_ok=True)
                write_json(options.json, report)
    if options.json:
        plot(report, options.json.with_suffix(".png"))


def check_results(benchmark: BenchmarkOptions, options: argparse.Namespace) -> None:
    """Refuses a --json, and the plot next to it, that would replace a source or something else than results."""
    if not options.json:
        return
    corpora = [item.split("=", 1)[-1] for item in benchmark.corpus or ()]
    sources = [path for path in (options.model, *benchmark.onnx, options.data, *corpora) if path]
    check_target("--json", options.json, sources, own=lambda path: has_keys(path, "machine", "parts"))
    plot = options.json.with_suffix(".png")
    check_target("--json", plot, sources, own=lambda path: options.json.is_file() or is_own_picture(path))


def made_up_model(size: str, options: argparse.Namespace, folder: Path) -> Path:
    """Writes a random model of --size; its classifier is fitted on --data if given."""
    random_model(size, folder)
    if options.data:
        fit_head(folder, options.data, options.corpora)
    return folder


if __name__ == "__main__":
    run_program(lambda: main(sys.argv[1:]))
