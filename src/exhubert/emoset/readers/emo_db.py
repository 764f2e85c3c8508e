"""EMO-DB: `wav/03a01Fa.wav` = speaker 03, text a01, Freude, version a."""

import re
from collections.abc import Iterator
from pathlib import Path

from ..record import Record

_NAME = re.compile(r"(?P<speaker>\d\d)(?P<text>[ab]\d\d)(?P<emotion>[A-Z])(?P<take>[a-z])(?:xx)?\.wav", re.IGNORECASE)
_MEN = {"03", "10", "11", "12", "15"}


def read_emo_db(root: Path) -> Iterator[Record]:
    """Reads version 1 (535 files); the gender comes from the speaker, as the publication lists them."""
    for path in root.rglob("*.wav"):
        if match := _NAME.fullmatch(path.name):
            yield Record(
                file=path,
                raw_label=match["emotion"].upper(),
                speaker=match["speaker"],
                gender="male" if match["speaker"] in _MEN else "female",
                language="de",
                text=match["text"],
                take=match["take"],
            )
