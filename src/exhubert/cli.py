"""The `exhubert` command."""

import argparse
import json
import sys
from collections.abc import Sequence

from .audio import AudioError
from .emoset.commands import add_commands

UNUSABLE_FILES = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code: 0, 1 for an error, 2 if some files couldn't be used."""
    parser = argparse.ArgumentParser(prog="exhubert", description="Speech emotion recognition with ExHuBERT.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser("predict", help="classify recordings", description="Classify recordings.")
    command.add_argument("files", nargs="+", metavar="FILE", help="recordings in any format libsndfile reads")
    command.add_argument("--model", required=True, help="folder or hub id of an ExHuBERT")
    command.add_argument("--json", action="store_true", help="print one JSON object for each file instead of a table")
    command.add_argument("--device", help="such as cpu or cuda:0; by default the fastest there is")
    command.set_defaults(run=_predict)
    command = commands.add_parser("emoset", help="emotional speech corpora and the dataset built from them")
    add_commands(command)
    options = parser.parse_args(arguments)
    try:
        return options.run(options)
    except (ValueError, RuntimeError, OSError, KeyError) as error:
        print(f"exhubert: {error.args[0] if isinstance(error, KeyError) else error}", file=sys.stderr)
        return 1


def _predict(options: argparse.Namespace) -> int:
    from transformers.utils import logging

    from .inference import load_pipeline, predict_all

    logging.disable_progress_bar()
    classifier = load_pipeline(options.model, options.device)
    width = max(len(file) for file in options.files)
    if not options.json:
        print(f"{'file':{width}}  {'class':13}  probability  seconds")
    failures = []
    for file, result in predict_all(classifier, options.files):
        if isinstance(result, AudioError):
            failures.append(str(result))
            if options.json:
                print(json.dumps({"file": file, "error": str(result)}), flush=True)
        elif options.json:
            print(json.dumps(result.to_dict()), flush=True)
        else:
            probability = result.scores[result.label]
            print(f"{file:{width}}  {result.label:13}  {probability:11.2f}  {result.seconds:7.2f}", flush=True)
    for failure in failures:
        print(f"exhubert: {failure}", file=sys.stderr)
    return UNUSABLE_FILES if failures else 0


if __name__ == "__main__":
    sys.exit(main())
