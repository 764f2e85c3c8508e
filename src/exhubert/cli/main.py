"""The `exhubert` command. Sub-commands import heavy libraries only when they run, so that `--help` is fast."""

import argparse
from collections.abc import Sequence

from . import annotate, app, emoset, export, info, listen, predict
from .program import exit_code


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code: 0, 1 for an error, 2 for unusable files, 130 for Ctrl-C."""
    parser = argparse.ArgumentParser(prog="exhubert", description="Speech emotion recognition with ExHuBERT.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for module in (predict, listen, annotate, app, export, info, emoset):
        module.add_command(commands)
    options = parser.parse_args(arguments)
    return exit_code(lambda: options.run(options), "exhubert")
