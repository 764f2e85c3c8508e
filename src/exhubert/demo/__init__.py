"""A small synthetic corpus of emotional speech, made at run time by a rule-based synthesiser.

With it, every step of the project runs on any machine, without downloads and without recordings of people. It has
fourteen languages, twelve native labels that map to the six classes, and unseen speakers and languages for testing.
Results on it show that the software works and say nothing about human speech.

Languages come in three groups: A sounds like acted speech in a studio, B like telephone and field recordings of people
who show emotion differently, and U is reserved for testing.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

LANGUAGES: dict[str, str] = {
    **dict.fromkeys(("en", "de", "cmn", "fr", "it", "es", "tr"), "A"),
    **dict.fromkeys(("nl", "el", "sv", "fa", "ur"), "B"),
    **dict.fromkeys(("he", "my"), "U"),
}

__all__ = ["LANGUAGES", "synthesise"]


def synthesise(
    output: str | Path,
    *,
    seed: int = 0,
    languages: Iterable[str] | None = None,
    speakers: int = 10,
    utterances_per_class: int = 4,
    progress: bool = True,
) -> Path:
    """Make the demo corpus below ``output``, or complete it after an interruption.

    Clips are ``<language>/<speaker>_<label>_<nn>.wav``, 16 kHz mono 16-bit. ``manifest.csv`` lists them with label,
    speaker, gender, language, text and partition (``test`` for the languages of group U, else empty), and
    ``corpus.json`` records the settings and the engine; both are written last. The same settings with the same engine
    produce the same bytes.

    Args:
        output: a new folder, or one that holds this corpus with the same settings.
        seed: seed of the speakers and utterances.
        languages: keys of ``LANGUAGES``; all of them if None.
        speakers: number of speakers per language.
        utterances_per_class: number of utterances per speaker and class; they alternate between the two native labels
            of the class.
        progress: show a progress bar over all clips.

    Returns:
        The path of ``manifest.csv``.

    Raises:
        ValueError: a language is unknown, a number is too small, or ``output`` holds a corpus with other settings.
        RuntimeError: no speech engine is installed.
    """
    from .corpus import Settings, write_corpus

    chosen = tuple(LANGUAGES) if languages is None else tuple(dict.fromkeys(languages))
    unknown = [language for language in chosen if language not in LANGUAGES]
    if unknown or not chosen:
        raise ValueError(
            f"The demo corpus was asked for in {', '.join(map(repr, unknown)) or 'no language'}; "
            f"choose from {', '.join(LANGUAGES)}."
        )
    return write_corpus(Path(output), chosen, Settings(seed, speakers, utterances_per_class), progress)
