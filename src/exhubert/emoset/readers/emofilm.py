"""EmoFilm: names tell gender, emotion, clip and language; the actors stand in a spreadsheet beside the recordings."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd

from ..record import Record
from .by_name import read_by_name

_SHEET = "f_m_corpus_it_es_en_legend"


def read_emofilm(root: Path) -> Iterator[Record]:
    """Lists the clips, with the actor as speaker where the legend (`.xlsx`, or saved as `.csv`) names one.

    Without the legend, and for its `???`, the speaker is unknown. The clip's number keeps the dubbings of one scene
    together either way.

    Raises:
        ValueError: The legend is a spreadsheet and openpyxl isn't installed, or it has other columns.
    """
    actors = _actors(root)
    for record in read_by_name("emofilm", root):
        yield replace(record, speaker=actors.get(record.file.stem.removesuffix("_16k")))


def _actors(root: Path) -> dict[str, str]:
    path = next((path for suffix in (".xlsx", ".csv") for path in sorted(root.rglob(_SHEET + suffix))), None)
    if path is None:
        return {}
    if path.suffix == ".csv":
        sheets = [pd.read_csv(path, dtype=str)]
    else:
        try:
            sheets = list(pd.read_excel(path, sheet_name=None, dtype=str).values())
        except ImportError as error:
            raise ValueError(
                f"{path}: reading the speakers needs openpyxl: pip install 'exhubert[corpora]', or save it as csv."
            ) from error
    result = {}
    for sheet in sheets:
        sheet.columns = [str(column).strip().lower() for column in sheet.columns]
        if not {"file", "speaker"} <= set(sheet.columns):
            raise ValueError(f"{path}: expected the columns file and speaker, found {', '.join(sheet.columns)}.")
        for file, speaker in zip(sheet["file"], sheet["speaker"], strict=True):
            name = "" if pd.isna(speaker) else " ".join(str(speaker).split())
            if name.strip("?") and not pd.isna(file):
                result[Path(str(file).strip()).stem] = name
    return result
