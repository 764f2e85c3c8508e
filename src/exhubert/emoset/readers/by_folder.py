"""Reader for recordings in folders named by their emotions, as the audio folders of `datasets` without metadata are."""

from collections.abc import Iterator
from pathlib import Path

from ...labels import class_of_word
from ...search import SUFFIXES
from ..catalog import CatalogEntry
from ..record import Record
from .by_name import files
from .columns import PARTITIONS


def has_emotion_folders(root: Path) -> bool:
    """Whether all recordings are in folders named by English emotions or classes, at least two of them.

    Above these there may be folders named by partitions, and nothing else: names of other folders may be speakers.
    """
    labels = set()
    for path in files(root, SUFFIXES):
        label, _ = _label_and_partition(root, path)
        if label is None:
            return False
        labels.add(label)
    return len(labels) > 1


def read_by_folder(facts: CatalogEntry, root: Path, encoding: str | None = None) -> Iterator[Record]:
    """Lists recordings such as `train/anger/1.wav`: the folder is the label, the one above it the partition, if any.

    If all are in `train`, as `datasets` calls data without splits, they have no partition.
    """
    found = [(path, *_label_and_partition(root, path)) for path in files(root, SUFFIXES)]
    is_split = {partition for _, _, partition in found} != {"train"}
    for path, label, partition in found:
        if label is not None:
            yield Record(path=str(path), raw_label=label, partition=partition if is_split else None)


def _label_and_partition(root: Path, path: Path) -> tuple[str | None, str | None]:
    *above, label = path.relative_to(root).parts[:-1] or ("",)
    partitions = [PARTITIONS.get(name.lower()) for name in above if name.lower() != "data"]
    if class_of_word(label) is None or len(partitions) > 1 or None in partitions:
        return None, None
    return label, next(iter(partitions), None)
