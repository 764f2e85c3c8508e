"""Finds the length that a header lacks, because the recorder was stopped before it went back to write it."""

import os
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

_MOST_CHUNKS = 1_000  # more than any recording has; a damaged file could seem to have millions


class Patch(NamedTuple):
    """Bytes to read in place of those that a file has at an offset; by default none."""

    offset: int = 0
    content: bytes = b""

    def apply(self, block: bytes, start: int) -> bytes:
        """Corrects a block of the file that begins at `start`."""
        if not self.content:
            return block
        first, last = (min(max(at - start, 0), len(block)) for at in (self.offset, self.offset + len(self.content)))
        return block[:first] + self.content[start + first - self.offset :][: last - first] + block[last:]


class _Chunk(NamedTuple):
    name: bytes
    begin: int  # offset of the content, which follows the name and the size
    size: int


def missing_length(file: Any) -> Patch:
    """Returns the length of the samples, if the header of an open binary file says 0 although samples follow it.

    Formats: WAV (RIFF, RIFX, RF64), AIFF, AU and CAF. All that follows the header is taken for samples, unless it is
    further chunks: then the recording really is empty.
    """
    size = file.seek(0, os.SEEK_END)
    head = _read(file, 0, 12)
    match head[:4], head[8:]:
        case (b".snd" | b"dns.", b"\0\0\0\0") if size > 24:
            return Patch(8, b"\xff" * 4)
        case (b"RIFF" | b"RF64", b"WAVE"):
            return _length_of(file, size, 12, "<I", b"data", 0)
        case (b"RIFX", b"WAVE"):
            return _length_of(file, size, 12, ">I", b"data", 0)
        case (b"FORM", b"AIFF" | b"AIFC"):
            return _length_of(file, size, 12, ">I", b"SSND", 8)  # two numbers precede the samples in their chunk
        case (b"caff", _):
            return _length_of(file, size, 8, ">Q", b"data", 4)  # one number does
    return Patch()


def _length_of(file: Any, size: int, start: int, form: str, name: bytes, empty: int) -> Patch:
    """Returns the size of the chunk `name` if it holds no samples, that is, no more than `empty` bytes."""
    wide = 0  # where an RF64, whose data chunk says 2**32 - 1, has its length
    for chunk in _chunks(file, size, start, form):
        if chunk.name == b"ds64":
            wide = chunk.begin + 8
        if chunk.name != name:
            continue
        length = size - chunk.begin
        unsaid = wide and not any(_read(file, wide, 8))
        if not (chunk.size <= empty or unsaid) or length <= empty or _is_chunks(file, size, chunk, form):
            return Patch()
        if unsaid:
            return Patch(wide, struct.pack("<Q", length))
        width = struct.calcsize(form)
        return Patch(chunk.begin - width, struct.pack(form, min(length, 2 ** (8 * width) - 1)))
    return Patch()


def _is_chunks(file: Any, size: int, chunk: _Chunk, form: str) -> bool:
    """Whether all that follows a chunk is further chunks."""
    end = chunk.begin + chunk.size
    for chunk in _chunks(file, size, end + end % 2, form):
        end = chunk.begin + chunk.size
    return abs(size - end) <= 1


def _chunks(file: Any, size: int, start: int, form: str) -> Iterator[_Chunk]:
    width = struct.calcsize(form)
    for _ in range(_MOST_CHUNKS):
        head = _read(file, start, 4 + width)
        if len(head) < 4 + width or not head[:4].isascii() or not head[:4].decode().isprintable():
            return
        chunk = _Chunk(head[:4], start + len(head), *struct.unpack(form, head[4:]))
        yield chunk
        start = chunk.begin + chunk.size + (chunk.size % 2 if width == 4 else 0)  # CAF doesn't pad
        if start > size:
            return


def _read(file: Any, offset: int, length: int) -> bytes:
    file.seek(offset)
    return file.read(length)
