"""The names of columns that the guide to corpora promises are understood."""

import re
from pathlib import Path

import pytest

from exhubert.emoset.readers.columns import RATINGS, columns_of
from exhubert.emoset.readers.table import Table

GUIDE = (Path(__file__).parents[3] / "src/exhubert/emoset/README.md").read_text(encoding="utf-8")
LINES = re.findall(r"^\| (`\w+`.*?) \| (`\w+`.*?) \|.*\|$", GUIDE.partition("| column |")[2].partition("\n\n")[0], re.M)


@pytest.mark.parametrize(("columns", "others"), LINES)
def test_the_table_of_the_guide_is_true(columns, others):
    names = re.findall(r"`(\w+)`", columns)
    groups = [re.findall(r"`(\w+)`", re.sub(r"\(.*\)", "", part)) for part in others.split(";")]
    groups = [[name for name in group if name != "offset"] for group in groups]
    for column, aliases in zip(names, [group for group in groups if group], strict=False):
        for alias in (column, *aliases):
            header = [alias, *(name for name in ("file", "label") if name != column)]
            cells = ("1", "2") if column in RATINGS else ("test", "train")
            table = Table("table.csv", header, [("line", [cell] * len(header)) for cell in cells])
            assert columns_of(table)[column] == 0, alias


def test_the_readme_has_such_a_table():
    assert len(LINES) == 12
