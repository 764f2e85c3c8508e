"""Columns of a table that hold the answers of single listeners, by the patterns of a catalog entry."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean

from ..catalog.problems import VOTES_HOLD, vote_problems
from ..record import Vote
from .columns import as_number, known


class VoteColumns:
    """The columns of a table that hold votes.

    Args:
        patterns: Names of columns by the field of `Vote` that they fill, with `{rater}` for the listener's id, such as
            `{arousal: "a{rater}_A"}`; or `{count: "votes_{label}"}` for the number of listeners who chose a label.
        columns: Names of the table's columns.
        source: The table, for messages.

    Attributes:
        indices: The columns used.

    Raises:
        ValueError: A pattern is invalid, or no column fits it.
    """

    def __init__(self, patterns: Mapping[str, str], columns: Sequence[str], source: str):
        if problems := vote_problems(patterns):
            raise ValueError(f"The catalog entry is wrong: {'; '.join(problems)}.")
        self._of: dict[str, dict[str, int]] = {}  # the column of each field, by the rater, or by the label of counts
        self._has_counts = "count" in patterns
        for field, pattern in patterns.items():
            before, after = map(re.escape, pattern.split(VOTES_HOLD[field]))
            fitting = {
                match[1]: index
                for index, name in enumerate(columns)
                if (match := re.fullmatch(f"{before}(.+){after}", name, re.IGNORECASE))
            }
            if not fitting:
                raise ValueError(
                    f"{source}: votes: {field} is {pattern!r} in the catalog entry, but no column has such a name; "
                    f"found {', '.join(columns)}."
                )
            for key, index in fitting.items():
                self._of.setdefault(f"count {key}" if field == "count" else f"rater {key}", {})[field] = index
        self.indices = {index for fields in self._of.values() for index in fields.values()}

    def votes(self, cells: Sequence[str]) -> tuple[Vote, ...]:
        """Returns the votes of a row; raises `ValueError` if a rating or a count isn't a number."""
        return tuple(self._votes(cells))

    def _votes(self, cells: Sequence[str]) -> Iterator[Vote]:
        for name, fields in self._of.items():
            kind, _, key = name.partition(" ")
            values = {field: cells[index] for field, index in fields.items() if known(field, cells[index])}
            label = values.pop("label", None)
            numbers = {field: as_number(text, f"{field} of {key}") for field, text in values.items()}
            if kind == "count":
                if numbers.get("count"):
                    yield Vote(label=key, count=int(numbers["count"]))
            elif numbers or label is not None:
                ratings = (numbers.get("arousal"), numbers.get("valence"), numbers.get("dominance"))
                yield Vote(key, label, *ratings)


def most_frequent(votes: Sequence[Vote]) -> str:
    """Returns the label that most listeners chose; empty for none, or if two are equally frequent.

    >>> most_frequent([Vote(label="joy", count=2), Vote(label="fear")]), most_frequent([Vote(label="joy"), Vote()])
    ('joy', 'joy')
    """
    counts = Counter[str]()
    for vote in votes:
        if vote.label is not None:
            counts[vote.label] += vote.count
    best = counts.most_common(2)
    return best[0][0] if best and (len(best) == 1 or best[0][1] > best[1][1]) else ""


def mean_rating(votes: Sequence[Vote], field: str) -> float | None:
    """Returns the mean of the listeners' ratings in a field of `Vote`; None if nobody rated it."""
    ratings = [rating for vote in votes if (rating := getattr(vote, field)) is not None]
    return fmean(ratings) if ratings else None
