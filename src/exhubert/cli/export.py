"""`exhubert export`: exports a trained model as ONNX, in 8 bits, or folded."""

import argparse
import sys
from collections import Counter
from pathlib import Path


def add_command(commands) -> None:
    command = commands.add_parser(
        "export",
        help="export a model as ONNX, in 8 bits, or folded",
        description="Exports a model to a self-contained folder, and prints what each step costs.",
    )
    command.add_argument("model", help="folder or hub id of a classifier")
    command.add_argument("output", type=Path, metavar="OUT", help="folder to write")
    command.add_argument("--format", default="onnx", choices=["onnx", "safetensors"])
    command.add_argument("--int8", action="store_true", help="ONNX with matrices quantised to 8 bits")
    command.add_argument(
        "--fold", action="store_true", help="leave out closed blocks and frozen gates that are the identity; exact"
    )
    command.add_argument(
        "--prune",
        type=float,
        metavar="EPS",
        help="also leave out blocks that add less than this share to their frozen copy's output",
    )
    command.add_argument("--check", nargs="+", default=[], metavar="PATH", help="recordings or folders to compare on")
    command.add_argument("--data", help="a built dataset to compare on, which adds the UAR")
    command.add_argument(
        "--partition", default="test", choices=["train", "validation", "test"], help="partition of --data"
    )
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Exports, prints the comparison, and returns 0.

    Raises:
        ValueError, OSError, RuntimeError: An option, the model or a recording is wrong.
    """
    from transformers.utils import logging

    from ..audio import AudioError, load_audio
    from ..export.steps import export, table
    from ..targets import check_model_target
    from .options import find_recordings, report_skipped

    logging.disable_progress_bar()
    if options.check and options.data:
        raise ValueError("--check and --data both say what to compare on; give one of them.")
    clips, labels = [], None
    skipped = Counter[str]()
    files = list(find_recordings(options.check, skipped))
    sources = [*files, *options.check, *([options.data] if options.data else [])]
    check_model_target("OUT", options.output, [options.model, *sources])
    if options.check:
        for file in files:
            try:
                clips.append(load_audio(file))
            except AudioError as error:
                print(f"exhubert: left out: {error}", file=sys.stderr)
        report_skipped(skipped)
        if not clips:
            raise ValueError(f"--check found no recordings that can be used in {', '.join(options.check)}.")
    if options.data:
        from ..configuration_exhubert import read_config
        from ..emoset.dataset import decode, load
        from ..evaluation.evaluate_model import labels_of_model
        from ..labels import names_by_index

        values = read_config(options.model)
        names = names_by_index(values.get("id2label") or {})
        if len(names) == 1 or values.get("problem_type") == "regression":
            raise ValueError(
                f"{options.model} is a regression model, which has no UAR; compare on recordings with --check."
            )
        data = load(options.data, labels=labels_of_model(options.model, names), classes=names) if names else {}
        if options.partition not in data:
            raise ValueError(f"{options.data} has no {options.partition} partition; it has {', '.join(data)}.")
        rows = data[options.partition]
        clips, labels = [decode(row["audio"]) for row in rows], rows["label"]
    report = export(
        options.model,
        options.output,
        options.format,
        options.fold,
        options.prune,
        options.int8,
        clips,
        labels,
        sources,
    )
    print(table(report))
    print(f"in {options.output}")
    return 0
