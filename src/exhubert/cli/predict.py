"""`exhubert predict`: classifies recordings, and writes a table, JSON, CSV, annotation files or plots."""

import argparse
import csv
import hashlib
import io
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from ..audio import AudioError, count_channels
from ..files import is_own_picture, named_in_errors, write_whole
from ..inference.formats import PER_RECORDING, csv_lines, is_result
from ..inference.prediction import SILENT, Prediction
from ..search import SUFFIXES
from ..targets import TargetError, check_target, entries, is_unchanged, recorded, refuse_foreign, write_recorded
from .options import (
    UNUSABLE_FILES,
    add_computing_options,
    add_recording_options,
    find_recordings,
    report_skipped,
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
    add_recording_options(command)
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
    skipped = Counter[str]()
    files = list(find_recordings(options.paths, skipped))
    report_skipped(skipped)
    if not files:
        raise ValueError(f"No recordings in {', '.join(options.paths)}; known endings are {' '.join(SUFFIXES)}.")
    if options.plot and _is_picture(options.plot) and len(files) > 1:
        raise ValueError(f"--plot {options.plot} is one picture, but there are {len(files)} recordings: give a folder.")
    if options.plot and _is_picture(options.plot) and options.channel == "each":
        raise ValueError(f"--plot {options.plot} is one picture, but each channel has its own: give a folder.")
    _check_targets(options, files)
    done = _done(options, files) if options.resume else set()
    waiting = [file for file in files if file not in done]
    failures = _classify(options, waiting) if waiting else []
    for _, failure in failures:
        print(f"exhubert: {failure}", file=sys.stderr)
    if failures or done:
        failed = len({file for file, _ in failures})
        print(
            f"exhubert: {len(waiting) - failed} of {len(files)} recordings classified, {len(done & set(files))} "
            f"were already done, {failed} can't be used.",
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
        kinds = [kind] if options.resume else ["table", "json", "jsonl", "csv"]  # --resume keeps corrected labels

        def own(path):
            return any(is_result(path, each, corrected=options.resume) for each in kinds)

        check_target("--output", output, sources, own=own)
    if options.plot and _is_picture(options.plot):
        check_target("--plot", options.plot, sources, own=is_own_picture)
    elif options.plot:
        check_target("--plot", options.plot, sources, own=lambda folder: True, folder=True)
        for path in _plot_files(options, files):
            refuse_foreign("--plot", path, is_own_picture(path))


def _classify(options: argparse.Namespace, files: list[str]) -> list[tuple[str, str]]:
    """Classifies files and writes the results; returns those with a failure, each with the reason."""
    from tqdm.auto import tqdm
    from transformers.utils import logging

    from ..configuration_exhubert import is_regression
    from ..cpu import keep_freed_memory
    from ..inference.recordings import load_pipeline, predict_files
    from ..labels import names_by_index

    logging.disable_progress_bar()
    keep_freed_memory()
    classifier = load_pipeline(options.model, options.device, options.dtype, options.backend, options.kernels)
    settings = window_settings(options) | {"batch_size": options.batch_size, "workers": options.workers}
    failures: list[tuple[str, str]] = []
    config = classifier.model.config
    columns = names_by_index(config.id2label) if is_regression(config) else ["class", "probability"]
    columns = columns if options.channel is None else ["channel", *columns]
    with _Writer(options, files, columns) as writer:
        quiet = len(files) < 3 or (not options.output and sys.stdout.isatty())
        results = predict_files(classifier, files, channel=options.channel, **settings)
        for file, channels in tqdm(results, total=len(files), unit="recording", disable=quiet):
            failures += [(file, str(result)) for result in channels if not isinstance(result, Prediction)]
            writer.write(file, channels)
            if options.plot:
                made = [result for result in channels if isinstance(result, Prediction)]
                failures += [(file, reason) for result in made for reason in _plot(options, file, result)]
    return failures


class _Writer:
    """Writes results as they arrive; those in the output are whole whenever the program is stopped."""

    def __init__(self, options: argparse.Namespace, files: list[str], columns: Sequence[str]):
        self.options, self.files, self.columns = options, files, columns
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
            self._print_row("file", self.columns, "seconds")
        self.header = kind == "csv" and not (self.options.resume and output.stat().st_size)
        return self

    def write(self, file: str, results: list[Prediction | AudioError]) -> None:
        """Writes the results for the channels of a file, or the one for its mix."""
        with named_in_errors(self.options.output or Path("standard output")):
            if self.options.format not in PER_RECORDING:
                for result in results:
                    self._write(file, result)
                self.stream.flush()
            elif made := [result for result in results if isinstance(result, Prediction)]:
                text = PER_RECORDING[self.options.format][0](*made)
                write_recorded(_annotation_file(self.options, file), text, self.known)

    def _write(self, file: str, result: Prediction | AudioError) -> None:
        kind, timeline = self.options.format, self.options.timeline
        if not isinstance(result, Prediction):
            row: dict = {"file": file, "error": str(result)}
        else:
            row = result.to_dict(timeline)
        if kind == "json":
            self.collected.append(row)
        elif kind == "jsonl":
            self.stream.write(json.dumps(row, ensure_ascii=False) + "\n")
        elif not isinstance(result, Prediction):
            return
        elif kind == "csv":
            self.stream.write(csv_lines(result, timeline, self.header))
            self.header = False
        elif kind == "table":
            channel = [] if result.channel is None else [str(result.channel)]
            for step in result.timeline() if timeline else [result.whole]:
                span = f"{step.start:7.2f} to {step.end:.2f}" if timeline else f"{result.seconds:7.2f}"
                if step.regression:
                    cells = [f"{step.scores[name]:.2f}" if step.scores else SILENT for name in result.names]
                else:
                    cells = [step.caption, "-" if step.silent else f"{step.probability:.2f}"]
                self._print_row(file, [*channel, *cells], span)

    def _print_row(self, file: str, cells: Sequence[str], span: str) -> None:
        """Prints a row of the table, with the class to the left and numbers to the right of their columns."""
        row = [
            f"{cell:13}" if column == "class" else f"{cell:>{max(9, len(column))}}"
            for column, cell in zip(self.columns, cells, strict=True)
        ]
        print(f"{file:{self.width}}", *row, span, sep="  ", file=self.stream)

    def __exit__(self, *error):
        if self.options.format == "json" and error[0] is None:
            text = json.dumps(self.collected, ensure_ascii=False, indent=2) + "\n"
            if self.options.output:
                write_whole(self.options.output, text.encode("utf-8", "backslashreplace").decode())
            else:
                self.stream.write(text)
        if self.stream is not sys.stdout:
            with named_in_errors(self.options.output):  # what couldn't be written is tried again
                self.stream.close()


def _plot(options: argparse.Namespace, file: str, prediction) -> list[str]:
    """Plots the timeline; returns the reason as a list of one sentence if that fails."""
    from ..inference.plot import plot_timeline

    path = _plot_file(options, file, prediction.channel)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        plot_timeline(prediction, file, path)
    except (AudioError, OSError) as error:  # the recording has vanished, or the disk is full
        return [f"{path}: the plot couldn't be made ({error})."]
    return []


def _plot_file(options: argparse.Namespace, file: str, channel: int | None) -> Path:
    """Path of the plot of a recording or of one of its channels."""
    if _is_picture(options.plot):
        return options.plot
    return options.plot / _output_name(file, f"{_mark(channel)}.png")


def _plot_files(options: argparse.Namespace, files: list[str]) -> list[Path]:
    """Paths of the plots of recordings; if each channel gets one, of those that exist already."""
    if options.channel != "each":
        return [_plot_file(options, file, options.channel) for file in files]
    names = {_plot_file(options, file, 0).name for file in files}
    return [path for path in entries(options.plot) if re.sub(r"\d+\.png$", "0.png", path.name) in names]


def _is_picture(path: Path) -> bool:
    """Whether `--plot` names one image file rather than a folder."""
    return path.suffix.lower() in (".png", ".pdf", ".svg", ".jpg", ".jpeg") and not path.is_dir()


def _annotation_file(options: argparse.Namespace, file: str) -> Path:
    """Path of a recording's annotation file."""
    return options.output / _output_name(file, f"{_mark(options.channel)}{PER_RECORDING[options.format][1]}")


def _mark(channel: int | str | None) -> str:
    """Part of an output file's name that tells which channel, or that each, was classified."""
    return "" if channel is None else "-channels" if channel == "each" else f"-channel{channel}"


def _output_name(file: str, ending: str) -> str:
    """Name of a recording's output file: its own name, and a hash of its path, since names may repeat."""
    tag = hashlib.sha1(os.fsencode(Path(file).absolute())).hexdigest()[:8]
    return f"{Path(file).stem[:50]}-{tag}{ending}"


def _unescaped(name: str) -> str:
    """Reverses the escapes that `backslashreplace` writes for a name that isn't UTF-8."""
    return re.sub(r"\\udc([89a-f][0-9a-f])", lambda match: chr(0xDC00 + int(match[1], 16)), name)


def _done(options: argparse.Namespace, files: list[str]) -> set[str]:
    """Those of `files` whose results are in the output, after cut-off or incomplete results were removed from it."""
    output = options.output
    if options.format in PER_RECORDING:
        return {file for file in files if _annotation_file(options, file).is_file()}
    if not output.is_file():
        output.parent.mkdir(parents=True, exist_ok=True)
        output.touch()
        return set()
    with output.open(encoding="utf-8", newline="") as stream:
        text = stream.read()
    whole = text[: text.rfind("\n") + 1]
    lines: list[Any]
    header: list[str] = []
    if options.format == "csv":
        header, *lines = [*csv.reader(io.StringIO(whole))] or [[]]
        keys = [(_unescaped(row[0]), int(row[1]) if "channel" in header[1:2] else None) for row in lines]
    else:
        lines = [line for line in whole.split("\n")[:-1] if "error" not in json.loads(line)]
        keys = [(row["file"], row.get("channel")) for row in map(json.loads, lines)]
    made_with = {channel for _, channel in keys}
    wrong = None in made_with if options.channel == "each" else bool(made_with - {options.channel})
    if wrong or (header and ("channel" in header[1:2]) != (options.channel is not None)):
        raise ValueError(f"{output}: its results are for other --channels; give those, or another --output.")
    channels: dict[str, set[int | None]] = {}
    for file, channel in keys:
        channels.setdefault(file, set()).add(channel)
    done = {file for file in files if file in channels and _required(file, options.channel) <= channels[file]}
    # what may lack a part is classified again: all channels of a recording, or all steps of the last one
    again = {file for file in files if options.channel == "each"} - done
    if options.format == "csv" and options.timeline and keys:
        again.add(keys[-1][0])
    kept = [line for line, (file, _) in zip(lines, keys, strict=True) if file not in again]
    if options.format == "csv":
        rewritten = io.StringIO()
        csv.writer(rewritten, lineterminator="\n").writerows([header, *kept] if header else [])
    else:
        rewritten = io.StringIO("".join(f"{line}\n" for line in kept))
    if rewritten.getvalue() != text:
        write_whole(output, rewritten.getvalue())
    return done - again


def _required(file: str, channel: int | str | None) -> set[int | None]:
    """The channels of a recording whose results an output must hold."""
    if channel != "each":
        return {channel}  # type: ignore[arg-type]
    try:
        return set(range(count_channels(file)))
    except AudioError:  # it can no longer be read, but could be before
        return set()
