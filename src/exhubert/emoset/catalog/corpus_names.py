"""Tells which corpus of the catalog a name means."""

import re
import unicodedata

from .entries import catalog


def corpus_of_name(name: str) -> str | None:
    """Returns the id of the corpus that has a name, without regard to case, spaces and punctuation.

    >>> corpus_of_name("CREMA-D"), corpus_of_name("emodb"), corpus_of_name("my calls")
    ('crema_d', 'emo_db', None)
    """
    ids = {plain(text): facts.id for facts in catalog().values() for text in (facts.id, facts.name)}
    return ids.get(plain(name))


def slug(name: str) -> str:
    """Returns a name as the id of a corpus: letters without accents, digits, `_` and `-`.

    >>> slug("My calls (2024)"), slug("Émotions à Köln")
    ('My_calls_2024', 'Emotions_a_Koln')
    """
    bare = "".join(letter for letter in unicodedata.normalize("NFKD", name) if not unicodedata.combining(letter))
    return re.sub(r"[^A-Za-z0-9_-]+", "_", bare).strip("_-")


def plain(name: str) -> str:
    """Returns what the spellings of a name have in common: its letters and digits, in lower case.

    >>> plain("Speaker ID"), plain("speaker_id")
    ('speakerid', 'speakerid')
    """
    return re.sub(r"[^a-z0-9]", "", name.lower())
