"""Times our prediction, training, loading and building against published usage, taking turns, on this machine.

    python recipes/bench.py all --size tiny --json runs/bench.json
    python recipes/bench.py predict --model runs/demo/exhubert --onnx runs/demo/onnx --data runs/demo/emoset
    python recipes/bench.py data --corpus emo_db=corpora/emo_db
    python recipes/bench.py render --json recipes/bench_large.json --readme README.md

Published usage is what the published code and its card do: fp32, one clip at a time, padded to 3 s, a linear after
every frozen copy; `exhubert.benchmark.cases` reproduces it on the same weights. Each case has a process of its own,
whose peak memory is reported, and the cases take turns round by round, since machines drift. Without --model a model
with random weights is used (with --data its classifier is fitted), without --data clips of noise from 1 to 3 s: speed
doesn't depend on what they hold. Parts are added to an existing --json, so that long measurements can be divided.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import torch

from exhubert.benchmark.harness import machine
from exhubert.benchmark.models import SIZES, fit_head, random_model, recordings
from exhubert.benchmark.parts import PARTS
from exhubert.benchmark.report import markdown, plot, write_into
from exhubert.cli.program import run_program
from exhubert.files import read_json, write_json

ALL = ("predict", "train", "memory", "load", "data")


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=[*PARTS, "all", "render"], help=f"all: {', '.join(ALL)}")
    parser.add_argument("--size", choices=SIZES, default="tiny", help="of the random model")
    parser.add_argument("--model", help="folder of a classifier, instead of a random one")
    parser.add_argument("--onnx", nargs="+", default=[], help="predict: folders that `exhubert export` wrote from it")
    parser.add_argument("--keep_model", type=Path, metavar="FOLDER", help="write the random model here, and end")
    parser.add_argument("--data", help="folder of a built dataset, whose test partition is used")
    parser.add_argument("--corpora", nargs="+", help="only these corpora of --data")
    parser.add_argument("--clips", type=int, default=16, help="how many at most")
    parser.add_argument("--timed", type=int, default=16, help="predict: how many of them are timed; all are judged")
    parser.add_argument("--train_clips", type=int, default=4, help="train: how many of them make an epoch")
    parser.add_argument("--batch_size", type=int, default=2, help="train")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cases", nargs="+", help="only the cases whose names have one of these words, and the first")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", type=Path, help="also write the figures here, and a plot beside them")
    parser.add_argument("--name", help="of the part in --json, to keep the same part of several models")
    parser.add_argument("--readme", type=Path, help="render: the README whose section of performance is written")
    parser.add_argument("--utterances", type=int, default=500, help="data: size of the made-up tree")
    parser.add_argument("--seconds", type=float, default=0.1, help="data: length of each made-up recording")
    parser.add_argument("--corpus", nargs="+", metavar="NAME=FOLDER", help="data: corpora on disk instead")
    parser.add_argument("--num_proc", type=int, help="data: processes of the builder")
    parser.add_argument("--hours", type=float, default=3.0, help="annotate: length of the long recording")
    options = parser.parse_args(arguments)
    if options.part == "render":
        if not (options.json and options.readme):
            raise ValueError("render puts the figures of --json into --readme; give both.")
        write_into(options.readme, read_json(options.json))
        return
    torch.set_num_threads(options.threads)
    if options.keep_model:
        made_up_model(options, options.keep_model)
        return
    report: dict = {"machine": machine(), "parts": {}}
    if options.json and options.json.is_file():
        report["parts"] = read_json(options.json)["parts"]
    wanted = ALL if options.part == "all" else (options.part,)
    with tempfile.TemporaryDirectory() as work:
        model, files, labels = "", [], None
        if wanted != ("data",):
            model = options.model or str(made_up_model(options, Path(work) / "model"))
            files, labels = recordings(Path(work) / "clips", options.clips, options.data, options.corpora)
        for part in wanted:
            print(f"{part} ...", file=sys.stderr)
            found = PARTS[part](options, model, files, labels, report["machine"])
            report["parts"][options.name or part] = found
            print(markdown(report | {"parts": {options.name or part: found}}), flush=True)
            if options.json:
                options.json.parent.mkdir(parents=True, exist_ok=True)
                write_json(options.json, report)
    if options.json:
        plot(report, options.json.with_suffix(".png"))


def made_up_model(options: argparse.Namespace, folder: Path) -> Path:
    """A random model of --size, with a classifier that was fitted on --data where that is given."""
    random_model(options.size, folder)
    if options.data:
        fit_head(folder, options.data, options.corpora)
    return folder


if __name__ == "__main__":
    run_program(lambda: main(sys.argv[1:]))
