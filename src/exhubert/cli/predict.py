"""`exhubert predict`: classifies recordings, and writes a table, JSON, CSV, annotation files or plots."""

import argparse
import csv
import hashlib
import io
import json
import os
import re
import sys
from pathlib import Path
from typing import TextIO

from ..files import is_own_picture, write_whole
from ..inference.formats import PER_RECORDING, csv_lines, is_result
from ..inference.prediction import Prediction
from ..targets import TargetError, check_target, is_unchanged, recorded, refuse_foreign, write_recorded
from .options import (
    SUFFIXES,
    UNUSABLE_FILES,
    add_computing_options,
    add_window_options,
    find_recordings,
    window_settings,
)


def add_command(commands) -> None:
    command = commands.add_parser("predict", help="classify recordings", description="Classify recordings.")
    command.add_argument(
        "paths", nargs="+", metavar="PATH", help="recordings, folders of them, or patterns like '*.wav'"
    )
    command.add_argument("--model", required=True, help="folder or hub id of an ExHuBERT")
    command.add_argument("--format", default="table", choices=["table", "json", "jsonl", "csv", *PER_RECORDING])
    command.add_argument("--output", type=Path, help="file to write; for annotation formats a folder")
    command.add_argument(
        "--timeline", action="store_true", help="the emotion of each window, not only of the whole recording"
    )
    add_window_options(command)
    command.add_argument("--batch_size", type=int, default=1, help="windows per batch; only affects speed")
    command.add_argument("--workers", type=int, default=1, help="threads that share the model and the CPU")
    command.add_argument(
        "--plot", type=Path, help="plot of each timeline: a .png, .pdf, .svg or .jpg file, or a folder for several"
    )
    command.add_argument("--resume", action="store_true", help="skip recordings whose results are already in --output")
    command.add_argument("--device", help="such as cpu or cuda:0; by default the fastest one available")
    add_computing_options(command)
    command.add_argument("--backend", choices=["torch", "onnx"], help="by default the one that fits the model's folder")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Classifies the given recordings; returns 0, or 2 if some couldn't be used.

    Raises:
        ValueError, OSError, RuntimeError: An option, the model or the output is wrong.
    """
    per_recording = options.format in PER_RECORDING
    if options.resume and not options.output:
        raise ValueError("--resume needs --output, to see which recordings are done.")
    if options.resume and options.format in ("table", "json"):
        raise ValueError(
            f"--resume doesn't work with --format {options.format}; use jsonl, csv or an annotation format."
        )
    if per_recording and not options.output:
        raise ValueError(f"--format {options.format} writes a file for each recording: give a folder as --output.")
    if options.batch_size < 1 or options.workers < 1:
        raise ValueError("--batch_size and --workers must be at least 1.")
    files = list(find_recordings(options.paths))
    if not files:
        raise ValueError(f"No recordings in {', '.join(options.paths)}; known endings are {' '.join(SUFFIXES)}.")
    if options.plot and _is_picture(options.plot) and len(files) > 1:
        raise ValueError(f"--plot {options.plot} is one picture, but there are {len(files)} recordings: give a folder.")
    _check_targets(options, files)
    done = _done(options) if options.resume else set()
    waiting = [file for file in files if file not in done]
    failures = _classify(options, waiting) if waiting else []
    for failure in failures:
        print(f"exhubert: {failure}", file=sys.stderr)
    if failures or done:
        print(
            f"exhubert: {len(waiting) - len(failures)} of {len(files)} recordings classified, {len(done & set(files))} "
            f"were already done, {len(failures)} can't be used.",
            file=sys.stderr,
        )
    return UNUSABLE_FILES if failures else 0


def _check_targets(options: argparse.Namespace, files: list[str]) -> None:
    """Raises `TargetError` if --output or --plot would replace a source, or a file that this command didn't write."""
    output, kind = options.output, options.format
    sources = [*files, *options.paths, options.model]
    if output and options.plot and output.resolve() == options.plot.resolve() and kind not in PER_RECORDING:
        raise TargetError(f"--output and --plot are both {output}; give them different names.")
    if output and kind in PER_RECORDING:
        check_target("--output", output, sources, own=lambda folder: True, folder=True)  # each file is checked
        known = recorded(output)
        for file in files:
            path = _annotation_file(options, file)
            own = options.resume or is_unchanged(path, known)
            remedy = "It may have been corrected by hand: keep it with --resume, or give another folder."
            refuse_foreign("--output", path, own, remedy)
    elif output:
        kinds = [kind] if options.resume else ["table", "json", "jsonl", "csv"]
        check_target("--output", output, sources, own=lambda path: any(is_result(path, each) for each in kinds))
    if options.plot and _is_picture(options.plot):
        check_target("--plot", options.plot, sources, own=is_own_picture)
    elif options.plot:
        check_target("--plot", options.plot, sources, own=lambda folder: True, folder=True)
        for file in files:
            path = _plot_file(options, file)
            refuse_foreign("--plot", path, is_own_picture(path))


def _classify(options: argparse.Namespace, files: list[str]) -> list[str]:
    from tqdm.auto import tqdm
    from transformers.utils import logging

    from ..cpu import keep_freed_memory
    from ..inference.recordings import load_pipeline, predict_all

    logging.disable_progress_bar()
    keep_freed_memory()
    classifier = load_pipeline(options.model, options.device, options.dtype, options.backend, options.kernels)
    settings = window_settings(options) | {"batch_size": options.batch_size, "workers": options.workers}
    failures: list[str] = []
    with _Writer(options, files) as writer:
        quiet = len(files) < 3 or (not options.output and sys.stdout.isatty())
        for file, result in tqdm(
            predict_all(classifier, files, **settings), total=len(files), unit="recording", disable=quiet
        ):
            if not isinstance(result, Prediction):
                failures.append(str(result))
            writer.write(file, result)
            if options.plot and isinstance(result, Prediction):
                failures += _plot(options, file, result)
    return failures


class _Writer:
    """Writes results as they arrive; those in the output are whole whenever the program is stopped."""

    def __init__(self, options: argparse.Namespace, files: list[str]):
        self.options, self.files = options, files
        self.stream: TextIO = sys.stdout
        self.collected: list[dict] = []
        self.known: dict[str, set[str]] = {}

    def __enter__(self):
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")
        output, kind = self.options.output, self.options.format
        if kind in PER_RECORDING:
            output.mkdir(parents=True, exist_ok=True)
            self.known = recorded(output)
        elif output:
            output.parent.mkdir(parents=True, exist_ok=True)
        if output and kind not in ("json", *PER_RECORDING):
            self.stream = output.open(
                # a name that isn't UTF-8 becomes an escape that JSON reads back
                "a" if self.options.resume else "w",
                encoding="utf-8",
                errors="backslashreplace",
                newline="",
            )
        self.width = max(len(file) for file in self.files)
        if kind == "table":
            print(f"{'file':{self.width}}  {'class':13}  probability  seconds", file=self.stream)
        self.header = kind == "csv" and not (self.options.resume and output.stat().st_size)
        return self

    def write(self, file: str, result) -> None:
        kind, timeline = self.options.format, self.options.timeline
        failed = not isinstance(result, Prediction)
        if kind in ("json", "jsonl"):
            row = {"file": file, "error": str(result)} if failed else result.to_dict(timeline)
            if kind == "json":
                self.collected.append(row)
            else:
                self.stream.write(json.dumps(row, ensure_ascii=False) + "\n")
        elif failed:
            return
        elif kind == "csv":
            self.stream.write(csv_lines(result, timeline, self.header))
            self.header = False
        elif kind == "table":
            for step in result.timeline() if timeline else [None]:
                label = result.label if step is None else step.label or "silent"
                share = result.scores[result.label] if step is None else max((step.scores or {"": 0.0}).values())
                span = f"{result.seconds:7.2f}" if step is None else f"{step.start:7.2f} to {step.end:.2f}"
                print(f"{file:{self.width}}  {label:13}  {share:11.2f}  {span}", file=self.stream)
        else:
            write_recorded(_annotation_file(self.options, file), PER_RECORDING[kind][0](result), self.known)
        self.stream.flush()

    def __exit__(self, *error):
        if self.options.format == "json" and error[0] is None:
            text = json.dumps(self.collected, ensure_ascii=False, indent=2) + "\n"
            if self.options.output:
                write_whole(self.options.output, text.encode("utf-8", "backslashreplace").decode())
            else:
                self.stream.write(text)
        if self.stream is not sys.stdout:
            self.stream.close()


def _plot(options: argparse.Namespace, file: str, prediction) -> list[str]:
    """Plots the timeline; returns the reason as a list of one sentence if that fails."""
    from ..audio import AudioError
    from ..inference.plot import plot_timeline

    path = _plot_file(options, file)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        plot_timeline(prediction, file, path)
    except (AudioError, OSError) as error:  # the recording has vanished, or the disk is full
        return [f"{path}: the plot couldn't be made ({error})."]
    return []


def _plot_file(options: argparse.Namespace, file: str) -> Path:
    """Path of a recording's plot."""
    return options.plot if _is_picture(options.plot) else options.plot / _output_name(file, ".png")


def _is_picture(path: Path) -> bool:
    """Whether `--plot` names one image file rather than a folder."""
    return path.suffix.lower() in (".png", ".pdf", ".svg", ".jpg", ".jpeg") and not path.is_dir()


def _annotation_file(options: argparse.Namespace, file: str) -> Path:
    """Path of a recording's annotation file."""
    return options.output / _output_name(file, PER_RECORDING[options.format][1])


def _output_name(file: str, ending: str) -> str:
    """Name of a recording's output file: its own name, and a hash of its path, since names may repeat."""
    tag = hashlib.sha1(os.fsencode(Path(file).absolute())).hexdigest()[:8]
    return f"{Path(file).stem[:50]}-{tag}{ending}"


def _unescaped(name: str) -> str:
    """Reverses the escapes that `backslashreplace` writes for a name that isn't UTF-8."""
    return re.sub(r"\\udc([89a-f][0-9a-f])", lambda match: chr(0xDC00 + int(match[1], 16)), name)


def _done(options: argparse.Namespace) -> set[str]:
    """Recordings whose results are in the output, after a cut-off last line was removed from it."""
    output = options.output
    if options.format in PER_RECORDING:
        return {file for file in find_recordings(options.paths) if _annotation_file(options, file).is_file()}
    if not output.is_file():
        output.parent.mkdir(parents=True, exist_ok=True)
        output.touch()
        return set()
    with output.open(encoding="utf-8", newline="") as stream:
        text = stream.read()
    whole = text[: text.rfind("\n") + 1]
    if options.format == "csv":
        rows = list(csv.reader(io.StringIO(whole)))
        last = rows[-1][0] if len(rows) > 1 else ""
        if options.timeline and last:  # its last steps may be missing
            rows = [row for row in rows if row[0] != last]
            rewritten = io.StringIO()
            csv.writer(rewritten, lineterminator="\n").writerows(rows)
            whole = rewritten.getvalue()
        names = {_unescaped(row[0]) for row in rows[1:]}
    else:
        lines = [line for line in whole.split("\n")[:-1] if "error" not in json.loads(line)]
        whole = "".join(f"{line}\n" for line in lines)  # recordings that couldn't be read may be readable now
        names = {json.loads(line)["file"] for line in lines}
    if whole != text:
        write_whole(output, whole)
    return names
