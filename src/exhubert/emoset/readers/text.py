"""Decodes annotation files, whose encoding is rarely written down."""

import codecs
import difflib
import io
import logging
import re
import unicodedata
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

logger = logging.getLogger(__name__)

_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",  # before UTF-16, whose mark it starts with
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
# Encodings in use. Rare ones are left out, since a table has too few letters to tell them apart.
_ENCODINGS = (
    *("cp1252", "cp1251", "gb18030", "cp932", "big5", "cp949", "cp1250", "cp1254", "cp1253", "cp1256", "cp1255"),
    *("cp1257", "cp874", "big5hkscs", "koi8-r", "koi8-u", "euc-jp", "iso8859-2", "iso8859-5", "iso8859-7", "iso8859-9"),
    *("iso8859-15", "mac-roman", "mac-cyrillic", "cp437", "cp850", "cp852", "cp866"),
)
_SEVERAL_BYTES = ("gb18030", "cp932", "big5", "cp949", "big5hkscs", "euc_jp", "utf-16-le", "utf-16-be")
# A few words don't tell these Latin encodings from cp1252, by far the most common one, which is chosen if it is at
# least so many times as likely. The numbers give the fewest mistakes over tables of 1 to 40 rows in 14 languages.
_MARGINS = {
    "iso8859-15": 0.6,
    **dict.fromkeys(("cp1250", "cp1257", "iso8859-2"), 0.5),
    **dict.fromkeys(("cp1254", "iso8859-9", "mac-roman", "cp437", "cp850", "cp852"), 0.9),
}
_NO_CHANCE = 4096  # a text of so many bytes isn't UTF-8 by chance
_SAMPLE = 1000  # lines
_CONTROL = re.compile("[\x80-\x9f]")  # in no text that people write
_ALPHABETS = {"LATIN", "GREEK", "CYRILLIC"}
_WITHIN_WORDS = "'\N{RIGHT SINGLE QUOTATION MARK}\N{LEFT SINGLE QUOTATION MARK}-_.\N{MIDDLE DOT}"
_SEPARATOR = re.compile(rb'[,;\t\r\n"]+')  # in no encoding a byte of another character


def check_encoding(name: str) -> str:
    """Returns the name of a text encoding.

    Raises:
        ValueError: Python knows no such encoding; the message names the nearest ones.
    """
    try:
        b"".decode(name)
        "".encode(name)
    except LookupError as error:
        close = difflib.get_close_matches(name.lower(), ["utf-8", "utf-16", "latin-1", *_ENCODINGS], n=2)
        hint = f"did you mean {' or '.join(close)}?" if close else "expected one such as utf-8 or cp1252."
        raise ValueError(f"There is no text encoding {name!r}; {hint}") from error
    return name


def read_text(
    path: Path, encoding: str | None = None, *, fit: Callable[[str], float] | None = None, errors: str = "strict"
) -> str:
    """Reads a text file; for the arguments and errors see [`decode_text`]."""
    return decode_text(path.read_bytes(), path, encoding, fit=fit, errors=errors)


def decode_text(
    content: bytes,
    source: str | Path,
    encoding: str | None = None,
    *,
    fit: Callable[[str], float] | None = None,
    errors: str = "strict",
) -> str:
    """Decodes a text in the encoding that [`encoding_of`] finds; for the arguments and errors see there."""
    name, start = encoding_of(content, source, encoding, fit=fit, errors=errors)
    return content[start:].decode(name, errors)


def encoding_of(
    content: bytes,
    source: str | Path,
    encoding: str | None = None,
    *,
    fit: Callable[[str], float] | None = None,
    errors: str = "strict",
) -> tuple[str, int]:
    """Finds the encoding of a text: by its byte order mark, the given one, UTF-8, or the one that fits best.

    The choice of another encoding than UTF-8 is logged: as a warning, or as information if `errors` is `replace`.

    Args:
        content: The bytes.
        source: Name of the file, for messages.
        encoding: Encoding of the text, if known. A byte order mark takes precedence.
        fit: Share of what is right in a decoded text, such as names of files that exist, 0 to 1; a half if nothing
            tells. The encoding with the largest share is chosen.
        errors: What to do with stray bytes in a text that is UTF-8 otherwise: `strict`, or `replace` by U+FFFD.

    Returns:
        The encoding, and the number of bytes of the byte order mark, which it doesn't decode.

    Raises:
        ValueError: A byte doesn't fit the encoding, or only a part of the text is UTF-8; the message names the line.
    """
    mark = next((mark for mark in _MARKS if content.startswith(mark)), b"")
    content = content.removeprefix(mark)
    known = _MARKS.get(mark) or encoding or ("ascii" if content.isascii() and b"\0" not in content else None)
    if known:
        _decode(content, source, check_encoding(known), errors)
        return known, len(mark)
    sample = _sample(content)
    best, largest = "", -1.0
    for name in _candidates(content, source):
        share = fit(sample.decode(name, "replace")) if fit else 0.5
        if share > largest:
            best, largest = name, share
        if not fit or share == 1 or (name == "utf-8" and _is_valid(content) and (share or len(content) > _NO_CHANCE)):
            break
    if errors == "strict" and largest < 1 and best not in (*_SEVERAL_BYTES, "utf-8"):
        _refuse_mixture(content, source, best)
    text = _decode(content, source, best, errors)
    if best != "utf-8":
        example = next((cell[0].strip() for cell in re.finditer(r'[^,;\t\r\n"]+', text) if not cell[0].isascii()), "")
        shown = f", in which a name or word in it is {example[:40]!r}" if example else ""
        _log_once(
            logging.WARNING if errors == "strict" else logging.INFO,
            f"{source} is read as {best}{shown}. If that is wrong, give its encoding (--encoding), or save it as "
            "UTF-8.",
        )
    return best, len(mark)


@cache
def _log_once(level: int, message: str) -> None:
    """Logs a message that would repeat, since files are read to recognise a corpus, and again to list it."""
    logger.log(level, message)


def _decode(content: bytes, source: str | Path, encoding: str, errors: str) -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        cell = _SEPARATOR.split(content[: error.start])[-1] + _SEPARATOR.split(content[error.start :])[0]
        fault = f"{source}, line {line}: byte 0x{content[error.start]:02X} in {str(cell[-40:])[2:-1]} isn't {encoding}"
        if errors == "replace":
            _log_once(logging.WARNING, f"{fault}; such bytes become \N{REPLACEMENT CHARACTER}.")
            return content.decode(encoding, "replace")
        raise ValueError(
            f"{fault}. Correct the line, save the whole file as UTF-8, or give its encoding (--encoding)."
        ) from error


def _refuse_mixture(content: bytes, source: str | Path, encoding: str) -> None:
    """Raises `ValueError` if some lines of a text are UTF-8, which is hardly so by chance in a one-byte encoding."""
    lines = [
        number for number, line in enumerate(content.split(b"\n"), start=1) if not line.isascii() and _is_valid(line)
    ]
    if lines:
        raise ValueError(
            f"{source}: line {lines[0]} is UTF-8, but others are not, and seem to be {encoding}. Save the whole file "
            "as UTF-8, or give its encoding (--encoding)."
        )


def _candidates(content: bytes, source: str | Path) -> Iterator[str]:
    """Names the encodings that a text may have, the likeliest first."""
    import chardet  # loads its models, which most texts don't need

    if b"\0" in content:
        name = chardet.detect(content)["encoding"] or ""
        if not name.lower().startswith("utf-"):
            raise ValueError(f"{source} holds NUL bytes, so it isn't a text file. Save it as UTF-8.")
        yield name.lower()
        return
    if _is_utf8(content):
        yield "utf-8"
    # the names and words alone, since a detector takes a table with many ASCII cells for Latin
    lines = (line for line in io.BytesIO(content) if not line.isascii())
    cells = b"\n".join(dict.fromkeys(cell for line in lines for cell in _SEPARATOR.split(line) if not cell.isascii()))
    guesses = chardet.detect_all(cells, ignore_threshold=True, include_encodings=_ENCODINGS)
    shares = {codecs.lookup(guess["encoding"]).name: guess["confidence"] for guess in guesses if guess["encoding"]}
    names = list(dict.fromkeys([*shares, *(codecs.lookup(name).name for name in _ENCODINGS)]))
    margin = _MARGINS.get(names[0])
    if margin and shares.get("cp1252", 0) >= margin * shares.get(names[0], 0):
        names.insert(0, "cp1252")
    doubts = {}
    for name in names:
        try:
            has_control_characters = bool(_CONTROL.search(content.decode(name)))
        except UnicodeDecodeError:
            continue
        # a fifth of strange words is no reason for doubt
        doubts[name] = (has_control_characters, round(2.5 * _strange(cells.decode(name, "replace"))))
    yield from sorted(doubts, key=lambda name: doubts[name])
    yield "latin-1"  # which decodes everything


def _strange(text: str) -> float:
    """Share of the words beyond ASCII that look as in a wrong encoding: `JosΘ`, `JosÚ`, `Pe±a`.

    Such words mix alphabets, or have a capital after a small letter, or a sign between letters.
    """
    words = [word for word in dict.fromkeys(text.split()) if not word.isascii()][:_SAMPLE]
    return sum(map(_is_strange, words)) / max(len(words), 1)


def _is_strange(word: str) -> bool:
    for run in re.findall(r"[^\W\d_]+", word):
        if len({unicodedata.name(letter, "").partition(" ")[0] for letter in run} & _ALPHABETS) > 1:
            return True
    for before, letter, after in zip(word, word[1:], f"{word[2:]} ", strict=False):
        if letter.isascii() or not before.isalpha():
            continue
        if (before.islower() and letter.isupper()) or (
            after.isalpha() and unicodedata.category(letter)[0] in "SP" and letter not in _WITHIN_WORDS
        ):
            return True
    return False


def _sample(content: bytes) -> bytes:
    """Returns the first lines, and as many of those beyond ASCII as tell encodings apart."""
    lines = content.split(b"\n")
    if len(lines) <= _SAMPLE:
        return content
    return b"\n".join([*lines[:10], *[line for line in lines[10:] if not line.isascii()][:_SAMPLE]])


def _is_utf8(content: bytes) -> bool:
    """Whether at least half of the lines beyond ASCII are UTF-8, which is hardly so by chance in other encodings."""
    lines = [line for line in content.split(b"\n") if not line.isascii()]
    return 2 * sum(_is_valid(line) for line in lines) >= len(lines)


def _is_valid(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
