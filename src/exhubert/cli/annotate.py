"""`exhubert annotate`: classifies many recordings on many devices and machines; a stopped run can be resumed."""

import argparse
import codecs
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..search import SUFFIXES
from .options import (
    UNUSABLE_FILES,
    add_computing_options,
    add_recording_options,
    find_recordings,
    report_skipped,
)
from .program import exit_code

_SHOWN = 10


def add_command(commands) -> None:
    add_options(commands.add_parser("annotate", help="classify many recordings", description=_DESCRIPTION))


_DESCRIPTION = (
    "Classify any number of recordings: accelerate launch -m exhubert.annotate PATH ... A stopped run resumes when it "
    "is started again with the same options and any number of ranks."
)


def add_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("paths", nargs="*", metavar="PATH", help="recordings, folders of them, or patterns")
    command.add_argument("--list", type=Path, help="text file with more recordings, one path per line")
    command.add_argument("--null", action="store_true", help="paths in --list end in NUL, as from find -print0")
    command.add_argument("--model", required=True, help="folder or hub id of an ExHuBERT")
    command.add_argument("--output", required=True, type=Path, help="folder that all ranks and machines share")
    command.add_argument("--format", default="jsonl", choices=["jsonl", "parquet"])
    add_recording_options(command)
    add_computing_options(command)
    command.add_argument("--retry", action="store_true", help="retry recordings that were set aside as unusable")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Runs one rank and reports; returns 0, or on rank 0 also 2 if some of all recordings couldn't be used."""
    from transformers.utils import logging

    from ..inference.annotation import AnnotationOptions, annotate
    from ..inference.shards import ERRORS, RESULTS, check_folder

    skipped = Counter[str]()
    files = list(dict.fromkeys([*find_recordings(options.paths, skipped), *_listed(options.list, options.null)]))
    if os.environ.get("RANK", "0") == "0":
        report_skipped(skipped)
    if not files:
        places = [*options.paths, *([f"--list {options.list}"] if options.list else [])]
        raise ValueError(f"No recordings in {', '.join(places) or 'PATH'}; known endings are {' '.join(SUFFIXES)}.")
    check_folder(options.output, [*options.paths, *([options.list] if options.list else [])])
    logging.disable_progress_bar()
    values = {name: getattr(options, name) for name in AnnotationOptions.__dataclass_fields__}
    report = annotate(files, options.model, options.output, AnnotationOptions(**values))
    lines = report.failures[:_SHOWN]
    if len(report.failures) > _SHOWN:
        lines.append(f"{len(report.failures) - _SHOWN} more are in {options.output / ERRORS}.")
    counts = f"{report.classified} recordings classified, {len(report.failures)} can't be used."
    lines.append(f"rank {report.rank} of {report.ranks}: {counts}")
    if report.unusable is not None:
        lines.append(f"{len(files) - report.unusable} of {len(files)} recordings are in {options.output / RESULTS}.")
        if report.unusable:
            lines.append(f"{report.unusable} can't be used: see {options.output / ERRORS}; --retry tries them again.")
    text = "".join(f"exhubert: {line}\n" for line in lines)
    # other ranks print into the open line of rank 0's progress bar
    print(f"\n{text}" if report.rank else text, end="", file=sys.stderr, flush=True)
    return UNUSABLE_FILES if report.unusable else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m exhubert.annotate`: the same command as a module that `accelerate launch -m` can start."""
    parser = argparse.ArgumentParser(prog="python -m exhubert.annotate", description=_DESCRIPTION)
    add_options(parser)
    options = parser.parse_args(arguments)
    return exit_code(lambda: options.run(options), "exhubert")


def _listed(path: Path | None, null: bool) -> Iterator[str]:
    """Yields the paths in a list: bytes, as on disk, unless Windows saved it as UTF-16; its lines may end in CR too."""
    if path is None:
        return
    content = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            content = content.decode("utf-16").encode()
        except UnicodeDecodeError as error:
            raise ValueError(f"--list {path} begins like UTF-16 but isn't ({error}); save it as UTF-8.") from error
    for name in content.split(b"\0" if null else b"\n"):
        path_bytes = name if null else name.removesuffix(b"\r")
        if path_bytes.strip():
            yield os.fsdecode(path_bytes)
