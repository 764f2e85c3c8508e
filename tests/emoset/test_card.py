"""The dataset card."""

from datasets import load_dataset
from huggingface_hub import DatasetCard

from exhubert.cli.main import main
from exhubert.emoset import build
from exhubert.emoset.sources import find_corpora


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
