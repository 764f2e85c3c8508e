"""Writes the demo corpus: one folder per language, complete or absent, then the manifest and the settings."""

from __future__ import annotations

import csv
import io
import re
import wave
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import yaml
from tqdm import tqdm

from .. import records
from ..files import read_json, write_json
from ..targets import check_target, entries, has_keys, is_own_text, refuse_foreign, remove_own, write_recorded
from . import LANGUAGES
from .channel import SAMPLE_RATE, record
from .engine import SpeechEngine
from .rules import EMOTIONS, RECIPE, plan_utterance
from .speakers import Speaker, draw_speaker

COLUMNS = ("file", "label", "speaker", "gender", "language", "text", "partition")

_NOTICE = (
    "This is synthetic speech, made by a rule-based synthesiser with rule-based emotions to exercise the software; "
    "results on it say nothing about human speech."
)
_RECORD = "language.json"


@dataclass(frozen=True)
class Settings:
    """Settings that determine the content of a language's folder.

    Attributes:
        seed: seed of every random draw, at least 0.
        speakers: number of speakers per language, at least 1.
        utterances_per_class: number of utterances per speaker and class, at least 1; both native labels of a class
            occur from 2 on.
        recipe: version of rules and sentences.
    """

    seed: int
    speakers: int
    utterances_per_class: int
    recipe: int = RECIPE

    def __post_init__(self) -> None:
        for name, minimum in (("seed", 0), ("speakers", 1), ("utterances_per_class", 1)):
            value = getattr(self, name)
            if value < minimum:
                raise ValueError(f"The demo corpus was asked for with {name}={value}; use {minimum} or more.")

    @property
    def clips_per_language(self) -> int:
        return self.speakers * self.utterances_per_class * len(EMOTIONS)


@dataclass(frozen=True)
class _Clip:
    """One row of the manifest, before its speech is synthesised."""

    file: str
    label: str
    text: str
    speaker: Speaker
    rng: np.random.Generator


def load_sentences() -> dict[str, list[str]]:
    """The sentences of each language, from `sentences.yaml`."""
    text = Path(__file__).with_name("sentences.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)


def _clips(language: str, sentences: list[str], settings: Settings) -> Iterator[_Clip]:
    """The clips of a language in the order in which the engine must synthesise them."""
    root = (settings.seed, *language.encode())
    for index in range(settings.speakers):
        rng = np.random.default_rng((*root, index))
        speaker = draw_speaker(rng, language, index, LANGUAGES[language])
        counts: Counter[str] = Counter()
        for pair in EMOTIONS:
            labels = tuple(pair)
            order = rng.permutation(len(sentences))
            for turn in range(settings.utterances_per_class):
                label = labels[(turn + index) % len(labels)]
                counts[label] += 1
                yield _Clip(
                    file=f"{language}/{speaker.name}_{label}_{counts[label]:02d}.wav",
                    label=label,
                    text=sentences[order[turn % len(order)]],
                    speaker=speaker,
                    rng=np.random.default_rng((*root, index, counts.total())),
                )


def _write_wav(path: Path, samples: np.ndarray) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(samples.astype("<i2").tobytes())


def _require_same(path: Path, settings: dict, current: dict) -> None:
    records.Settings(settings).require_same(
        records.Settings(current), f"The demo corpus of {path}", "Choose another output folder, or delete this one."
    )


def _read_language(folder: Path, settings: Settings) -> dict | None:
    """Reads the record of a finished language; None if its folder doesn't exist yet."""
    if not folder.exists():
        return None
    path = folder / _RECORD
    if not path.exists():
        raise ValueError(
            f"{folder} has no {_RECORD}, so it is not a language of a demo corpus and will not be overwritten. "
            "Choose another output folder, or delete this one."
        )
    content = read_json(path)
    _require_same(path, content["settings"], asdict(settings))
    return content


def _make_language(output: Path, language: str, sentences: list[str], settings: Settings, bar: tqdm) -> dict:
    """Synthesise all clips of a language with a fresh engine and return its record."""
    part = _part(output, language)
    remove_own("OUTPUT", part, lambda folder: _is_part(folder, language))
    part.mkdir(parents=True)
    group = LANGUAGES[language]
    rows, samples = [], 0
    with SpeechEngine() as engine:
        for clip in _clips(language, sentences, settings):
            utterance = plan_utterance(clip.text, clip.label, clip.speaker, clip.rng)
            speech = engine.say(language, utterance)
            recording = record(speech, engine.rate, utterance.effects, group, clip.rng)
            _write_wav(part / Path(clip.file).name, recording)
            samples += len(recording)
            rows.append(
                {
                    "file": clip.file,
                    "label": clip.label,
                    "speaker": clip.speaker.name,
                    "gender": clip.speaker.gender,
                    "language": language,
                    "text": clip.text,
                    "partition": "test" if group == "U" else "",
                }
            )
            bar.update()
        content = {
            "settings": asdict(settings),
            "engine": {"name": engine.name, "version": engine.version},
            "samples": samples,
            "rows": rows,
        }
    write_json(part / _RECORD, content, ensure_ascii=False)
    part.rename(output / language)
    return content


def _require_one_engine(output: Path, records: dict[str, dict]) -> dict:
    """The engine that made all languages; a corpus from two engines couldn't be reproduced."""
    by_engine: dict[tuple[str, str], list[str]] = {}
    for language, content in records.items():
        by_engine.setdefault((content["engine"]["name"], content["engine"]["version"]), []).append(language)
    if len(by_engine) > 1:
        engines = "; ".join(f"{name} {version} made {', '.join(keys)}" for (name, version), keys in by_engine.items())
        raise ValueError(
            f"The languages in {output} come from different speech engines ({engines}), expected one engine for all. "
            "Delete the languages of one engine and run again, or choose another output folder."
        )
    return next(iter(records.values()))["engine"]


def _check_output(output: Path, languages: tuple[str, ...]) -> None:
    """Raises `TargetError` if a file or folder that will be written exists and isn't part of a demo corpus."""
    check_target("OUTPUT", output, own=_is_demo, folder=True)
    for path, own in (
        (output / "manifest.csv", is_own_text(output / "manifest.csv", "file,label,speaker,gender,language")),
        (output / "corpus.json", _is_summary(output / "corpus.json")),
        *((_part(output, language), _is_part(_part(output, language), language)) for language in languages),
    ):
        refuse_foreign("OUTPUT", path, own)


def _is_demo(output: Path) -> bool:
    return _is_summary(output / "corpus.json") or any(
        has_keys(output / language / _RECORD, "settings", "engine") or _is_part(_part(output, language), language)
        for language in LANGUAGES
    )


def _is_summary(path: Path) -> bool:
    return has_keys(path, "synthetic", "settings", "engine")


def _part(output: Path, language: str) -> Path:
    """Folder of a language that is being made."""
    return output / f"{language}.incomplete"


def _is_part(folder: Path, language: str) -> bool:
    ours = re.compile(rf"{language}_\d+_[a-z]+_\d+\.wav|{re.escape(_RECORD)}")
    return folder.is_dir() and all(ours.fullmatch(path.name) and path.is_file() for path in entries(folder))


def write_corpus(output: Path, languages: tuple[str, ...], settings: Settings, progress: bool) -> Path:
    """Make the missing parts of the corpus below ``output`` and return the path of its manifest.

    Raises:
        TargetError: ``output`` holds something else than a demo corpus, or its manifest was edited.
        ValueError: ``output`` holds a corpus with other settings or from another engine.
        RuntimeError: a language is missing and no speech engine is installed.
    """
    _check_output(output, languages)
    summary = output / "corpus.json"
    recorded = {**asdict(settings), "languages": list(languages)}
    if summary.exists():
        _require_same(summary, read_json(summary)["settings"], recorded)
    contents = {language: _read_language(output / language, settings) for language in languages}
    records = {language: content for language, content in contents.items() if content}
    size = settings.clips_per_language
    sentences = load_sentences()
    output.mkdir(parents=True, exist_ok=True)
    with tqdm(
        total=size * len(languages), initial=size * len(records), desc="demo corpus", unit="clip", disable=not progress
    ) as bar:
        for language in languages:
            if language not in records:
                bar.set_postfix_str(language)
                records[language] = _make_language(output, language, sentences[language], settings, bar)
    engine = _require_one_engine(output, records)

    rows = [row for language in languages for row in records[language]["rows"]]
    table = io.StringIO()
    writer = csv.DictWriter(table, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_recorded(output / "manifest.csv", table.getvalue())
    write_json(
        summary,
        {
            "synthetic": True,
            "notice": _NOTICE,
            "settings": recorded,
            "engine": engine,
            "sampling_rate": SAMPLE_RATE,
            "clips": len(rows),
            "seconds": round(sum(records[language]["samples"] for language in languages) / SAMPLE_RATE, 3),
        },
        ensure_ascii=False,
    )
    return output / "manifest.csv"
