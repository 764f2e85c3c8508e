"""Converts predictions to CSV and the formats of annotation tools: Praat TextGrid, Audacity labels, ELAN.

The formats of annotation tools take the predictions for all channels of a recording; each channel gets its own tier.
"""

import csv
import io
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable
from dataclasses import fields
from itertools import chain, count
from pathlib import Path
from typing import Any, TextIO

from .prediction import SILENT, Prediction

_SCHEMA = "http://www.w3.org/2001/XMLSchema-instance"
ET.register_namespace("xsi", _SCHEMA)


def csv_lines(prediction: Prediction, timeline: bool = False, header: bool = True) -> str:
    """CSV with one row `file,start,end,label,<class>...`, or with `timeline` one row per step of the recording.

    The rows for a single channel begin with `file,channel`. Silence has the label `silent` and empty cells for the
    classes. For regression models, the column `label` is `silent`, with `true` or `false`, before a column for each
    output.
    """
    names = list(prediction.names)
    regression = prediction.regression
    channel = [] if prediction.channel is None else [prediction.channel]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if header:
        head = ["file", *["channel"] * len(channel), "start", "end", SILENT if regression else "label", *names]
        writer.writerow(head)
    for step in prediction.timeline() if timeline else [prediction.whole]:
        scores = [f"{step.scores[name]:.4f}" if step.scores else "" for name in names]
        label = str(step.silent).lower() if regression else step.caption
        writer.writerow([prediction.file, *channel, f"{step.start:.3f}", f"{step.end:.3f}", label, *scores])
    return text.getvalue()


def audacity(*predictions: Prediction) -> str:
    """An Audacity label track: start, end and caption of each step, separated by tabs; of a channel with its number."""
    steps = [(step, one.channel) for one in predictions for step in one.timeline()]
    lines = []
    for step, channel in sorted(steps, key=lambda item: item[0].start):
        number = "" if channel is None else f"{channel}: "
        lines.append(f"{step.start:.6f}\t{step.end:.6f}\t{number}{step.caption}\n")
    return "".join(lines)


def textgrid(*predictions: Prediction) -> str:
    """A Praat TextGrid in the long text format with the interval tier `emotion`, or one for each channel."""
    seconds = max(prediction.seconds for prediction in predictions)
    lines = [
        'File type = "ooTextFile"',
        'Object class = "TextGrid"',
        "",
        "xmin = 0",
        f"xmax = {seconds:.6f}",
        "tiers? <exists>",
        f"size = {len(predictions)}",
        "item []:",
    ]
    for index, prediction in enumerate(predictions, start=1):
        steps = prediction.timeline()
        lines += [
            f"    item [{index}]:",
            '        class = "IntervalTier"',
            f'        name = "{_tier(prediction)}"',
            "        xmin = 0",
            f"        xmax = {seconds:.6f}",
            f"        intervals: size = {len(steps)}",
        ]
        for number, step in enumerate(steps, start=1):
            label = step.caption.replace('"', '""')
            lines += [
                f"        intervals [{number}]:",
                f"            xmin = {step.start:.6f}",
                f"            xmax = {step.end:.6f}",
                f'            text = "{label}"',
            ]
    return "\n".join(lines) + "\n"


def _tier(prediction: Prediction) -> str:
    return "emotion" if prediction.channel is None else f"emotion, channel {prediction.channel}"


def elan(*predictions: Prediction) -> str:
    """An ELAN document (EAF 3.0) with the tier `emotion`, or one for each channel, and the recording as media file."""
    document = ET.Element(
        "ANNOTATION_DOCUMENT",
        {
            "AUTHOR": "exhubert",
            "DATE": "1970-01-01T00:00:00+00:00",
            "FORMAT": "3.0",
            "VERSION": "3.0",
            f"{{{_SCHEMA}}}noNamespaceSchemaLocation": "http://www.mpi.nl/tools/elan/EAFv3.0.xsd",
        },
    )
    head = ET.SubElement(document, "HEADER", {"MEDIA_FILE": "", "TIME_UNITS": "milliseconds"})
    address = Path(predictions[0].file).absolute().as_uri()
    ET.SubElement(head, "MEDIA_DESCRIPTOR", {"MEDIA_URL": address, "MIME_TYPE": "audio/x-wav"})
    order = ET.SubElement(document, "TIME_ORDER")
    numbers = count(1)
    for prediction in predictions:
        tier = ET.SubElement(document, "TIER", {"LINGUISTIC_TYPE_REF": "default-lt", "TIER_ID": _tier(prediction)})
        for step in prediction.timeline():
            number = next(numbers)
            slots = [f"ts{2 * number - 1}", f"ts{2 * number}"]
            for slot, seconds in zip(slots, (step.start, step.end), strict=True):
                ET.SubElement(order, "TIME_SLOT", {"TIME_SLOT_ID": slot, "TIME_VALUE": str(round(1000 * seconds))})
            annotation = ET.SubElement(
                ET.SubElement(tier, "ANNOTATION"),
                "ALIGNABLE_ANNOTATION",
                {"ANNOTATION_ID": f"a{number}", "TIME_SLOT_REF1": slots[0], "TIME_SLOT_REF2": slots[1]},
            )
            ET.SubElement(annotation, "ANNOTATION_VALUE").text = step.caption
    ET.SubElement(
        document,
        "LINGUISTIC_TYPE",
        {"GRAPHIC_REFERENCES": "false", "LINGUISTIC_TYPE_ID": "default-lt", "TIME_ALIGNABLE": "true"},
    )
    ET.indent(document)
    return ET.tostring(document, encoding="unicode", xml_declaration=True) + "\n"


# Formats with one file per recording: the function that renders it, and the file ending.
PER_RECORDING: dict[str, tuple[Callable[..., str], str]] = {
    "textgrid": (textgrid, ".TextGrid"),
    "audacity": (audacity, ".txt"),
    "elan": (elan, ".eaf"),
}


def is_result(path: Path, kind: str, corrected: bool = False) -> bool:
    """Whether a file is what `exhubert predict` writes in the format `table`, `json`, `jsonl` or `csv`.

    A last line that was cut off when the program was stopped doesn't matter.

    Args:
        path: Of the file.
        kind: The format.
        corrected: Whether labels may be others than the most probable class, as after a correction by hand.
    """
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            if kind == "json":
                return _is_json(stream, corrected)
            first = stream.readline()
            lines = (line for line in stream if line.endswith("\n"))
            if kind == "table":
                return bool(_TABLE_HEADER.fullmatch(first)) and all(map(_TABLE_ROW.fullmatch, lines))
            if kind == "jsonl" and not first.endswith("\n"):
                return first.startswith(_JSON_START) or _JSON_START.startswith(first)
            if kind == "jsonl":
                return all(_is_row(json.loads(line), corrected) for line in chain([first], lines))
            return _is_csv(first, lines, corrected)
    except (OSError, ValueError, TypeError, csv.Error):  # not text, not JSON, or not the numbers of ours
        return False


_TABLE_HEADER, _TABLE_ROW = re.compile(r"file +(channel +)?\S.* +seconds\n"), re.compile(r".*  +[\d.]+( to [\d.]+)?\n")
_CSV_STARTS = [f"file,{channel}start,end,{label}," for channel in ("", "channel,") for label in ("label", SILENT)]
_JSON_START = '{"file": "'
_KEYS = {"error", *(field.name for field in fields(Prediction))}


def _is_json(stream: TextIO, corrected: bool) -> bool:
    if stream.read(1) != "[":  # not worth reading it all
        return False
    stream.seek(0)
    rows = json.load(stream)
    return isinstance(rows, list) and bool(rows) and all(_is_row(row, corrected) for row in rows)


def _is_row(row: Any, corrected: bool) -> bool:
    if not (isinstance(row, dict) and "file" in row and row.keys() <= _KEYS):
        return False
    label, scores = row.get("label"), row.get("scores")
    right = corrected or not label or not scores or scores.get(label) == max(scores.values())
    return right and ("error" in row or {"seconds", "windows"} <= row.keys())


def _is_csv(first: str, lines: Iterable[str], corrected: bool) -> bool:
    start = next((start for start in _CSV_STARTS if start.startswith(first) or first.startswith(start)), None)
    if start is None or not first.endswith("\n"):
        return start is not None
    columns, *_ = csv.reader([first])
    width = start.count(",")
    return len(columns) > width and all(
        len(row) == len(columns) and _is_csv_row(row[width - 1], row[width:], columns[width:], corrected)
        for row in csv.reader(lines)
    )


def _is_csv_row(label: str, cells: list[str], names: list[str], corrected: bool) -> bool:
    """Whether the part of a row from its label on is ours; a table of somebody's own has no probabilities."""
    if not any(cells):
        return label in (SILENT, "true") or corrected
    scores = dict(zip(names, map(float, cells), strict=True))
    return corrected or label == "false" or scores.get(label) == max(scores.values())
