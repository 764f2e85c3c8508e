"""Drafts the YAML file of a corpus of one's own from the names of its recordings, or from its table."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...labels import class_of_word, word_languages, words_with_prefix
from ...search import SUFFIXES
from ..catalog import catalog, entry
from ..catalog.corpus_names import slug
from ..catalog.layouts import compiled
from ..catalog.own_entries import UNFINISHED
from ..readers import own_form
from ..readers.manifest import find_tables
from ..readers.own import OwnForm
from ..readers.recognition import recognise, recordings
from ..readers.table import read_tables
from .guesses import NUMBERED, Guess, guesses, language_of_codes
from .name_parts import Names, Part, divide

_MOST_NAMES = 20_000  # more names tell nothing new
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_ -]*")
_BEFORE_TEXT = re.compile(r"\{\*:(\d+)\}\{text:(\d+)\}")
_WORDS = ("null", "true", "false", "of")  # which YAML or the catalog takes for something else
_FIELDS = {"raw_label": "emotion"}


@dataclass(frozen=True)
class Draft:
    """A first draft of a corpus's YAML file.

    Attributes:
        text: The YAML, with comments on what was guessed.
        rows: What varies in the names: part, number of values, examples, guess and reasons.
        remarks: Sentences on what else was noticed.
    """

    text: str
    rows: list[tuple[str, ...]]
    remarks: list[str]


def draft(root: str | Path, corpus: str | None = None) -> Draft:
    """Looks at a folder of recordings and drafts its YAML file. Reads names and tables, no audio.

    Args:
        root: The folder.
        corpus: Id of the corpus; by default the folder's name.

    Raises:
        FileNotFoundError: There is no such folder, or no recording in it.
        ValueError: The id can't be one, or is one of the catalog.
    """
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"There is no folder {root}.")
    name = _new_id(root, corpus)
    remarks = []
    form = own_form(root)
    if known := None if form else recognise(root):
        remarks.append(
            f"These are the names of {entry(known).name}, which the catalog has already: no YAML file is needed."
        )
    if form:
        remarks.append(f"The folder has {form.name}, which is read instead of names.")
        return _of_table(form, root, name, remarks)
    paths = [path.relative_to(root).as_posix() for path in recordings(root)]
    if not paths:
        raise FileNotFoundError(f"{root} holds no recording: give the folder of a corpus.")
    if tables := [path.name for path in sorted(root.iterdir()) if path.suffix.lower() in (".csv", ".tsv", ".xlsx")]:
        remarks.append(
            f"{', '.join(tables[:3])} may annotate the recordings: a table is read if it is called manifest.csv."
        )
    return _of_names(root, name, paths, remarks)


def _new_id(root: Path, corpus: str | None) -> str:
    if corpus is None:
        plain = slug(root.resolve().name).lower() or "corpus"
        return f"my_{plain}" if plain in catalog() else plain
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", corpus):
        raise ValueError(f"--id {corpus}: use letters, digits, _ and -.")
    if corpus in catalog():
        raise ValueError(f"--id {corpus}: the catalog has this corpus; choose another id.")
    return corpus


def _of_names(root: Path, corpus: str, paths: Sequence[str], remarks: list[str]) -> Draft:
    step = -(-len(paths) // _MOST_NAMES)
    names = divide(paths[::step])
    found = guesses(names)
    chosen = [guess for guess in found if guess.chosen]
    endings = Counter(Path(path).suffix.lower() for path in paths)
    pattern = _pattern(names, chosen) + (next(iter(endings)) if len(endings) == 1 else ".*")
    matching = [match for path in paths if (match := compiled(pattern).fullmatch(path))]
    strange = [path for path in paths if not compiled(pattern).fullmatch(path)]
    example = matching[0].string if matching else paths[0]
    emotion = _of_field(chosen, "raw_label")
    speaker = _of_field(chosen, "speaker")
    counts = Counter[str](match["raw_label"] for match in matching) if emotion else Counter[str]()
    lines = [
        f"  # {len(matching)} of {len(paths)} recordings have this pattern, such as {example}",
        *(f"  # {len(strange)} have not, such as {strange[0]}" for _ in strange[:1]),
        *(f"  # {_FIELDS.get(guess.field, guess.field)}: guess from {_why(guess)}" for guess in chosen),
    ]
    if not emotion:
        lines.append("  # no part looks like an emotion: name it in the pattern, {emotion}, or describe the recordings")
        lines.append("  # in a manifest.csv with the columns file,label,speaker")
    if not speaker:
        lines.append("  # no part looks like a speaker: partitions can't keep speakers apart without {speaker}")
    lines.append(f"  pattern: {_quoted(pattern)}")
    lines += _genders(speaker, chosen)
    number = len({match["speaker"] for match in matching}) if speaker else None
    rows = [_row(part, found) for part in names.parts if part.varies]
    text = _yaml(root, corpus, len(matching), number, ["paths:", *lines], counts)
    return Draft(text, rows, remarks)


def _of_field(chosen: Iterable[Guess], field: str) -> Guess | None:
    return next((guess for guess in chosen if guess.field == field), None)


def _why(guess: Guess) -> str:
    return f"{guess.part}: {'; '.join(guess.reasons)}"


def _row(part: Part, found: Iterable[Guess]) -> tuple[str, ...]:
    own = [guess for guess in found if guess.part is part]
    marks = [f"{_FIELDS.get(g.field, g.field)}{'' if g.chosen else '?'}" for g in own]
    values = [value for value, _ in part.counts.most_common(4)]
    counts = part.counts.values()
    size = f"{min(counts)}" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"
    return (str(part), str(len(part.counts)), size, " ".join(values), " ".join(marks) or "-", _reasons(own))


def _reasons(own: Iterable[Guess]) -> str:
    return "; ".join(dict.fromkeys(reason for guess in own for reason in guess.reasons))


def _pattern(names: Names, chosen: Sequence[Guess]) -> str:
    """Returns the pattern for the end of the paths, without the ending of the files."""
    fields = {id(guess.part): _FIELDS.get(guess.field, guess.field) for guess in chosen}
    top = max((guess.part.level for guess in chosen), default=0)
    levels = []
    for level in reversed(range(top + 1)):
        tokens: dict[int | None, list[Part]] = {}
        for part in names.parts:
            if part.level == level:
                tokens.setdefault(part.token, []).append(part)
        texts = [_token(parts, fields) for parts in tokens.values()]
        between = [*names.separators.get(level, ()), ""]
        levels.append("".join(text + mark for text, mark in zip(texts, between, strict=False)))
    return "/".join(levels)


def _token(parts: Sequence[Part], fields: dict[int, str]) -> str:
    whole = next(part for part in parts if part.run is None)
    runs = [part for part in parts if part.run is not None]
    if id(whole) in fields or not any(id(part) in fields for part in runs):
        return _placeholder(whole, fields, "")
    text = "".join(
        _placeholder(part, fields, str(part.width) if part.width else _kind_of(part.values[0])) for part in runs
    )
    # a letter before the number of a text belongs to it: a01
    return _BEFORE_TEXT.sub(lambda match: f"{{text:{int(match[1]) + int(match[2])}}}", text)


def _placeholder(part: Part, fields: dict[int, str], kind: str) -> str:
    if id(part) not in fields and not part.varies and not set(part.values[0]) & set("{}*"):
        return part.values[0]
    return f"{{{fields.get(id(part), '*')}{f':{kind}' if kind else ''}}}"


def _kind_of(value: str) -> str:
    return "digits" if value.isdecimal() else "letters" if value.isalpha() else r"[^/\w]+|_+"


def _genders(speaker: Guess | None, chosen: Iterable[Guess]) -> list[str]:
    """Says which speakers are women and men, if their ids do: F01, SM3."""
    if speaker is None or _of_field(chosen, "gender") or not any("genders" in reason for reason in speaker.reasons):
        return []
    prefixes = sorted({re.sub(r"\d.*", "", value) for value in speaker.part.counts})
    words = {"f": "female", "w": "female", "m": "male"}
    codes = ", ".join(f"{_key(f'{prefix}*')}: {words[prefix[-1].lower()]}" for prefix in prefixes)
    return ["  values:", "    # guess", f"    gender: {{of: speaker, {codes}}}"]


def _of_table(form: OwnForm, root: Path, corpus: str, remarks: list[str]) -> Draft:
    try:
        records = list(form.read(entry("manifest"), root, None))
    except ValueError as error:
        remarks.append(f"It isn't understood yet: {error}")
        columns = ", ".join(f"{field}: {_key(name)}" for field, name in _columns(root).items())
        lines = ["# the column of each field, a guess; others have usual names", f"columns: {{{columns}}}"]
        return Draft(_yaml(root, corpus, None, None, lines, Counter()), [], remarks)
    speakers = {record.speaker for record in records} - {None}
    lines = [
        "# columns with other than usual names, by the field that they fill:",
        "# columns: {label: emo, speaker: who}",
    ]
    counts = Counter(record.raw_label for record in records if record.raw_label)
    return Draft(_yaml(root, corpus, len(records), len(speakers) or None, lines, counts), [], remarks)


def _columns(root: Path) -> dict[str, str]:
    """Guesses which columns of a manifest without usual names are the recording, its label and its speaker."""
    result = dict.fromkeys(("file", "label", "speaker"), UNFINISHED)
    for path in find_tables(root):
        for table in read_tables(path, lambda names: len(names) > 1):
            for name, *cells in zip(table.columns, *(cells for _, cells in table.rows), strict=True):
                values = {cell for cell in cells if cell}
                endings = sum(Path(value).suffix.lower() in SUFFIXES for value in values)
                words = sum(class_of_word(value, word_languages()) is not None for value in values)
                if values and 2 * endings >= len(values):
                    field = "file"
                elif values and (2 * words >= len(values) or language_of_codes(values)):
                    field = "label"
                elif values and (len(values) <= len(cells) / 2 or all(map(NUMBERED.fullmatch, values))):
                    field = "speaker"
                else:
                    continue
                if result[field] == UNFINISHED:
                    result[field] = name
    return result


def _yaml(
    root: Path, corpus: str, utterances: int | None, speakers: int | None, layout: Sequence[str], counts: Counter[str]
) -> str:
    language = _language(counts)
    lines = [
        f"# First draft by `exhubert emoset new {root.resolve().name}`: check the guesses; replace {UNFINISHED!r}.",
        "# Give this file, or its folder, as --catalog. It may also say the kind, licence, redistribution, reference,",
        "# homepage, hours and notes; see `exhubert emoset show emo_db`.",
        f"id: {corpus}",
        f"name: {_quoted(root.resolve().name)}",
        f"languages: [{language or 'und'}]  # {'guess from its labels' if language else 'unknown; a tag such as de'}",
        *([f"utterances: {utterances}"] if utterances else []),
        *([f"speakers: {speakers}  # guess"] if speakers else []),
        *layout,
    ]
    if counts:
        lines.append("# Each label with its emotion; or {emotion: glee, class: high_positive}, or null for no class.")
        lines.append("labels:")
        lines += _labels(counts, language)
    return "\n".join(lines) + "\n"


def _labels(counts: Counter[str], language: str | None) -> list[str]:
    merged: Counter[str] = Counter()
    spelling: dict[str, str] = {}
    for label, count in counts.most_common():
        merged[spelling.setdefault(label.casefold(), label)] += count
    codes = language_of_codes(merged)
    lines = []
    for label, count in merged.most_common():
        if name := class_of_word(label, [language] if language else []):
            lines.append(f"  {_key(label)}: {_key(label.replace('_', ' ').lower())}  # {count} recordings, {name}")
            continue
        words = _unlike(words_with_prefix(label, codes[0]))[:3] if codes and label.isalpha() else []
        hint = f"; perhaps {' or '.join(words)} ({codes[0]})" if codes and words else ""
        lines.append(f"  {_key(label)}: {_quoted(UNFINISHED)}  # {count} recordings{hint}")
    return lines


def _unlike(words: Iterable[str]) -> list[str]:
    """Returns words without further forms of the same one: wut, not also wütend."""
    return list({word[:3]: word for word in reversed(list(words))}.values())[::-1]


def _language(counts: Counter[str]) -> str | None:
    """Returns the only language in which all labels are emotion words, if English isn't one."""
    if not counts or all(class_of_word(label) for label in counts):
        return None
    languages = [tag for tag in word_languages() if all(class_of_word(label, [tag]) for label in counts)]
    return languages[0] if len(languages) == 1 else None


def _key(text: str) -> str:
    return text if _PLAIN.fullmatch(text) and text.lower() not in _WORDS else _quoted(text)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
