"""The forms in which people bring corpora of their own, or publishers' corpora in another form than the publisher's."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..catalog import CatalogEntry
from ..record import Record
from .manifest import find_manifest, read_manifest

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
    """

    name: str
    find: Callable[[Path], bool]
    read: Reader
    chosen_partitions: bool = True


def _is_dataset(root: Path) -> bool:
    from .huggingface import is_dataset  # needs pyarrow, which is slow to import

    return is_dataset(root)


def _read_dataset(facts: CatalogEntry, root: Path, encoding: str | None = None) -> Iterator[Record]:
    from .huggingface import read_dataset

    return read_dataset(facts, root, encoding)


OWN_FORMS = (
    OwnForm("a manifest", lambda root: bool(find_manifest(root)), read_manifest),
    OwnForm("a Hugging Face dataset", _is_dataset, _read_dataset, chosen_partitions=False),
)


def own_form(root: Path) -> OwnForm | None:
    """Returns the form of a folder; None if it has none, and so must have the layout of a corpus of the catalog."""
    return next((form for form in OWN_FORMS if form.find(root)), None)
