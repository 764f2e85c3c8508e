"""Converts predictions to CSV and the formats of annotation tools: Praat TextGrid, Audacity labels, ELAN."""

import csv
import io
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

from .prediction import Prediction, Window

SILENT = "silent"
_SCHEMA = "http://www.w3.org/2001/XMLSchema-instance"
ET.register_namespace("xsi", _SCHEMA)


def csv_lines(prediction: Prediction, timeline: bool = False, header: bool = True) -> str:
    """CSV with one row `file,start,end,label,<class>...`, or with `timeline` one row per step of the recording."""
    names = list(prediction.scores)
    whole = [Window(0.0, prediction.seconds, False, prediction.scores)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if header:
        writer.writerow(["file", "start", "end", "label", *names])
    for step in prediction.timeline() if timeline else whole:
        scores = [f"{step.scores[name]:.4f}" if step.scores else "" for name in names]
        writer.writerow([prediction.file, f"{step.start:.3f}", f"{step.end:.3f}", step.label or SILENT, *scores])
    return text.getvalue()


def audacity(prediction: Prediction) -> str:
    """An Audacity label track: start, end and class of each step, separated by tabs."""
    return "".join(f"{s.start:.6f}\t{s.end:.6f}\t{s.label or SILENT}\n" for s in prediction.timeline())


def textgrid(prediction: Prediction) -> str:
    """A Praat TextGrid in the long text format with one interval tier, `emotion`."""
    steps = prediction.timeline()
    lines = [
        'File type = "ooTextFile"',
        'Object class = "TextGrid"',
        "",
        "xmin = 0",
        f"xmax = {prediction.seconds:.6f}",
        "tiers? <exists>",
        "size = 1",
        "item []:",
        "    item [1]:",
        '        class = "IntervalTier"',
        '        name = "emotion"',
        "        xmin = 0",
        f"        xmax = {prediction.seconds:.6f}",
        f"        intervals: size = {len(steps)}",
    ]
    for number, step in enumerate(steps, start=1):
        label = (step.label or SILENT).replace('"', '""')
        lines += [
            f"        intervals [{number}]:",
            f"            xmin = {step.start:.6f}",
            f"            xmax = {step.end:.6f}",
            f'            text = "{label}"',
        ]
    return "\n".join(lines) + "\n"


def elan(prediction: Prediction) -> str:
    """An ELAN document (EAF 3.0) with one tier, `emotion`, and the recording as its media file."""
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
    ET.SubElement(
        head, "MEDIA_DESCRIPTOR", {"MEDIA_URL": Path(prediction.file).absolute().as_uri(), "MIME_TYPE": "audio/x-wav"}
    )
    order = ET.SubElement(document, "TIME_ORDER")
    tier = ET.SubElement(document, "TIER", {"LINGUISTIC_TYPE_REF": "default-lt", "TIER_ID": "emotion"})
    for number, step in enumerate(prediction.timeline(), start=1):
        slots = [f"ts{2 * number - 1}", f"ts{2 * number}"]
        for slot, seconds in zip(slots, (step.start, step.end), strict=True):
            ET.SubElement(order, "TIME_SLOT", {"TIME_SLOT_ID": slot, "TIME_VALUE": str(round(1000 * seconds))})
        annotation = ET.SubElement(
            ET.SubElement(tier, "ANNOTATION"),
            "ALIGNABLE_ANNOTATION",
            {"ANNOTATION_ID": f"a{number}", "TIME_SLOT_REF1": slots[0], "TIME_SLOT_REF2": slots[1]},
        )
        ET.SubElement(annotation, "ANNOTATION_VALUE").text = step.label or SILENT
    ET.SubElement(
        document,
        "LINGUISTIC_TYPE",
        {"GRAPHIC_REFERENCES": "false", "LINGUISTIC_TYPE_ID": "default-lt", "TIME_ALIGNABLE": "true"},
    )
    ET.indent(document)
    return ET.tostring(document, encoding="unicode", xml_declaration=True) + "\n"


# Formats with one file per recording: the function that renders it, and the file ending.
PER_RECORDING: dict[str, tuple[Callable[[Prediction], str], str]] = {
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
        return re.fullmatch(r"file +class +probability +seconds\n", lines[0]) is not None
    if kind == "jsonl":
        return _is_json_line(lines[0])
    header, *row = csv.reader(lines)
    if not lines[0].endswith("\n"):
        return _CSV_START.startswith(lines[0]) or lines[0].startswith(_CSV_START)
    if not lines[0].startswith(_CSV_START):
        return False
    # a table of somebody's own has no probabilities
    return len(header) > 4 and (not row or not lines[1].endswith("\n") or all(map(_is_number_or_empty, row[0][4:])))


_CSV_START = "file,start,end,label,"
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
