"""The forms in which people bring corpora of their own, or publishers' corpora in another form than the publisher's."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..catalog import CatalogEntry, entry
from ..catalog.corpus_names import corpus_of_name
from ..record import Record
from .audformat_db import facts_of_database, find_database
from .audformat_records import read_audformat
from .emobox import find_emobox, read_emobox
from .kaldi import find_kaldi, read_kaldi
from .manifest import find_manifest, find_tables, names_recordings, read_manifest

# Lists the utterances of a corpus from its catalog entry, its folder and the encoding of its files.
Reader = Callable[[CatalogEntry, Path, str | None], Iterator[Record]]


@dataclass(frozen=True)
class OwnForm:
    """A form of corpora that holds their labels beside the recordings or with them.

    Attributes:
        name: What it is, for messages.
        find: Whether a folder has this form. Called on every folder that is searched, so it must be quick.
        read: The reader.
        chosen_partitions: Whether partitions are their author's choice, and an error if they share speakers. Others are
            kept only if they don't.
        facts: Fields of `CatalogEntry` that a folder tells about itself, such as `licence`.
        has_columns: Whether a map of columns can say what is in it.
        whole: Whether a folder of this form is one corpus, whatever its sub-folders look like.
    """

    name: str
    find: Callable[[Path], bool]
    read: Reader
    chosen_partitions: bool = True
    facts: Callable[[Path], Mapping[str, Any]] = lambda root: {}
    has_columns: bool = True
    whole: bool = False


def _is_dataset(root: Path) -> bool:
    from .huggingface import is_dataset  # needs pyarrow, which is slow to import

    return is_dataset(root)


def _read_dataset(facts: CatalogEntry, root: Path, encoding: str | None = None) -> Iterator[Record]:
    from .huggingface import read_dataset

    return read_dataset(facts, root, encoding)


def _has_manifest(root: Path) -> bool:
    # a dataset of the hub may list the recordings that its parquet files hold
    tables = find_manifest(root)
    return bool(tables) and (not _is_dataset(root) or any(map(names_recordings, tables)))


def _facts_of_dataset(root: Path) -> Mapping[str, Any]:
    from .dataset_files import facts_of_card

    return facts_of_card(root)


HUGGING_FACE = OwnForm(
    "a Hugging Face dataset", _is_dataset, _read_dataset, chosen_partitions=False, facts=_facts_of_dataset
)
TABLE = OwnForm("a table of recordings", lambda root: bool(find_tables(root)), read_manifest)
OWN_FORMS = (
    OwnForm("a manifest", _has_manifest, read_manifest),
    OwnForm(
        "an audformat database",
        lambda root: bool(find_database(root)),
        read_audformat,
        chosen_partitions=False,
        facts=facts_of_database,
        whole=True,
    ),
    OwnForm(
        "Kaldi's wav.scp",
        lambda root: bool(find_kaldi(root)),
        read_kaldi,
        chosen_partitions=False,
        has_columns=False,
        whole=True,
    ),
    OwnForm("a list of EmoBox", lambda root: bool(find_emobox(root)), read_emobox, has_columns=False, whole=True),
    HUGGING_FACE,
    TABLE,  # last, since other forms have tables, too
)


def own_form(root: Path) -> OwnForm | None:
    """Returns the form of a folder; None if it has none, and so must have the layout of a corpus of the catalog."""
    return next((form for form in OWN_FORMS if form.find(root)), None)


def told_corpus(form: OwnForm, root: Path) -> str | None:
    """Returns the corpus of the catalog whose name a folder of some form tells; None for others.

    Corpora without a layout of their own don't count, since their names are everyday words.
    """
    corpus = corpus_of_name(str(form.facts(root).get("name", "")))
    return corpus if corpus and entry(corpus).has_own_layout else None
