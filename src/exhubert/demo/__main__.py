"""``python -m exhubert.demo OUTPUT``: make the synthetic demo corpus."""

from __future__ import annotations

import argparse
import sys

from ..cli.program import exit_code
from . import LANGUAGES, synthesise


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m exhubert.demo", description="Make the synthetic demo corpus.")
    parser.add_argument("output", help="folder for the corpus; an interrupted one is completed")
    parser.add_argument("--seed", type=int, default=0, help="seed of speakers and utterances (default: %(default)s)")
    parser.add_argument("--languages", help=f"comma-separated languages out of {','.join(LANGUAGES)} (default: all)")
    parser.add_argument("--speakers", type=int, default=10, help="speakers per language (default: %(default)s)")
    parser.add_argument(
        "--utterances-per-class", type=int, default=4, help="utterances per speaker and class (default: %(default)s)"
    )
    options = parser.parse_args(arguments)
    return exit_code(lambda: _run(options), "exhubert.demo")


def _run(options: argparse.Namespace) -> None:
    manifest = synthesise(
        options.output,
        seed=options.seed,
        languages=options.languages.split(",") if options.languages else None,
        speakers=options.speakers,
        utterances_per_class=options.utterances_per_class,
    )
    print(manifest)


if __name__ == "__main__":
    sys.exit(main())
