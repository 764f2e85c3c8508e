"""URDU-Dataset: `Angry/SM1_F10_A010.wav` = male speaker 1, his file 10, angry utterance 10."""

import re
from collections.abc import Iterator
from pathlib import Path

from ..record import Record

# The publisher's files write the emotion's running number with two or three digits.
_NAME = re.compile(r"(?P<speaker>S(?P<gender>[MF])\d+)_F(?P<take>\d+)_(?P<emotion>[AHNS])\d+\.wav", re.IGNORECASE)


def read_urdu(root: Path) -> Iterator[Record]:
    """Reads the four emotion folders; the label is the letter in the name, which the folder repeats."""
    for path in root.rglob("*.wav"):
        if match := _NAME.fullmatch(path.name):
            yield Record(
                file=path,
                raw_label=match["emotion"].upper(),
                speaker=match["speaker"].upper(),
                gender="male" if match["gender"].upper() == "M" else "female",
                language="ur",
                take=match["take"],
            )
