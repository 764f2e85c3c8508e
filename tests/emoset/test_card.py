"""The dataset card."""

import re
import subprocess
import sys

import pyarrow.parquet as pq
import pytest
from datasets import load_dataset
from huggingface_hub import DatasetCard

from exhubert.cli.main import main
from exhubert.emoset import build
from exhubert.emoset.sources import find_corpora

from .conftest import RATINGS, corpus, rate


def test_statistics_write_a_card_with_licences_maps_and_plots(root, tmp_path):
    build(find_corpora(root).found, tmp_path / "out")
    assert main(["emoset", "stats", str(tmp_path / "out")]) == 0
    card = DatasetCard.load(tmp_path / "out/README.md")
    assert card.data.pretty_name == "EmoSet++ build"
    assert "| EMO-DB | W | anger | high_negative | source |" in card.text and "Not to be passed on" in card.text
    for name in ("classes", "languages", "durations"):
        assert (tmp_path / f"out/plots/{name}.png").stat().st_size > 5000
    whole = load_dataset(str(tmp_path / "out"))
    assert sum(map(len, whole.values())) == 41, "the card's configuration opens the folder with plain datasets"


def test_the_card_counts_emotions_labels_without_a_class_and_classes_from_ratings(tmp_path):
    words = [f"{word},s{index}," for index in range(3) for word in ("joy", "happy", "wow", "sung")]
    build({"words": corpus(tmp_path / "a", words)}, tmp_path / "out")
    build({"rated": corpus(tmp_path / "bb", [f"joy,s{index}," for index in range(6)])}, tmp_path / "out")
    rate(tmp_path / "out" / "rated", RATINGS, [1.0, 5.0])
    assert main(["emoset", "stats", str(tmp_path / "out")]) == 0
    text = (tmp_path / "out" / "README.md").read_text()
    assert "| words | happiness (6), sung (3), wow (3) |" in text
    assert "Kept without one of the six classes: words sung (3), words wow (3)." in text
    table = (tmp_path / "out" / "statistics.csv").read_text().splitlines()
    assert table[0].endswith("high_positive,without class")
    assert table[1] == "rated,1,1,0,0,2,1,1" and table[2] == "words,0,0,0,0,0,6,6"


HEARD_BY_TORCHCODEC = 'rows[0]["audio"]["array"]  # with torchcodec installed\n'


@pytest.fixture
def snippets(root, tmp_path):
    """The snippets of a dataset's card, which run in its folder."""
    build({"emo_db": root / "EMO-DB"}, tmp_path / "out")
    main(["emoset", "stats", str(tmp_path / "out")])
    return re.findall(r"```python\n(.*?)```", (tmp_path / "out" / "README.md").read_text(), flags=re.DOTALL)


def run(code, folder):
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True, capture_output=True)


def test_rows_are_heard_without_torchcodec_as_the_card_says(snippets, tmp_path):
    shard = next((tmp_path / "out").glob("*/*-train*.parquet"))
    rows = len(pq.read_table(shard, columns=["corpus"]))
    first, second = snippets
    assert HEARD_BY_TORCHCODEC in first
    end = f"assert (rate, len(rows)) == (16000, {rows}) and len(samples) == 8000"
    run(first.replace(HEARD_BY_TORCHCODEC, "") + second + end, tmp_path / "out")


def test_rows_are_heard_with_torchcodec_as_the_card_says(snippets, tmp_path):
    pytest.importorskip("torchcodec")
    run(snippets[0], tmp_path / "out")
