"""Converts predictions to CSV and the formats of annotation tools: Praat TextGrid, Audacity labels, ELAN.

The formats of annotation tools take the predictions for all channels of a recording; each channel gets its own tier.
"""

import csv
import io
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from itertools import count, islice
from pathlib import Path
from typing import Any

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


def is_result(path: Path, kind: str) -> bool:
    """Whether a file is what `exhubert predict` writes in the format `table`, `json`, `jsonl` or `csv`.

    A last line that was cut off when the program was stopped doesn't matter.
    """
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            if kind == "json":
                if stream.read(1) != "[":
                    return False
                stream.seek(0)
                content = json.load(stream)
                return isinstance(content, list) and bool(content) and all(map(_is_row, content))
            lines = list(islice(stream, 2))
    except (OSError, ValueError):  # not text, or not JSON
        return False
    if kind == "table":
        return re.fullmatch(r"file +(channel +)?\S.* +seconds\n", lines[0]) is not None
    if kind == "jsonl":
        return _is_json_line(lines[0])
    start = next((start for start in _CSV_STARTS if start.startswith(lines[0]) or lines[0].startswith(start)), None)
    if start is None or not lines[0].endswith("\n"):
        return start is not None
    header, *row = csv.reader(lines)
    # a table of somebody's own has no probabilities
    width = start.count(",")
    return len(header) > width and (
        not row or not lines[1].endswith("\n") or all(map(_is_number_or_empty, row[0][width:]))
    )


_CSV_STARTS = [f"file,{channel}start,end,{label}," for channel in ("", "channel,") for label in ("label", SILENT)]
_JSON_START = '{"file": "'


def _is_json_line(line: str) -> bool:
    if not line.endswith("\n"):
        return line.startswith(_JSON_START) or _JSON_START.startswith(line)
    try:
        return _is_row(json.loads(line))
    except ValueError:
        return False


def _is_row(row: Any) -> bool:
    return isinstance(row, dict) and "file" in row and ("error" in row or {"seconds", "windows"} <= row.keys())


def _is_number_or_empty(text: str) -> bool:
    return re.fullmatch(r"|-?[0-9.]+(e-?[0-9]+)?", text) is not None
