"""The `exhubert` command."""

import argparse
import sys
from collections.abc import Sequence

from . import app, export_command, listen_command, predict_command
from .emoset import add_commands

INTERRUPTED = 130  # as shells count it


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code: 0, 1 for an error, 2 for unusable files, 130 for Ctrl-C."""
    parser = argparse.ArgumentParser(prog="exhubert", description="Speech emotion recognition with ExHuBERT.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    predict_command.add_command(commands)
    listen_command.add_command(commands)
    app.add_command(commands)
    export_command.add_command(commands)
    command = commands.add_parser("info", help="what a model is", description="Prints what a model is.")
    command.add_argument("model", help="folder or hub id of an ExHuBERT")
    command.set_defaults(run=_info)
    command = commands.add_parser("emoset", help="emotional speech corpora and the dataset built from them")
    add_commands(command)
    options = parser.parse_args(arguments)
    try:
        return options.run(options)
    except (ValueError, RuntimeError, OSError, KeyError) as error:
        print(f"exhubert: {error.args[0] if isinstance(error, KeyError) else error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("exhubert: stopped.", file=sys.stderr)
        return INTERRUPTED


def _info(options: argparse.Namespace) -> int:
    from .info import describe

    print(describe(options.model))
    return 0


if __name__ == "__main__":
    sys.exit(main())
