"""The model card shows what the files of run and evaluation say."""

from itertools import pairwise
from pathlib import Path

from huggingface_hub import ModelCard

from exhubert.hub.card import write_card

from ..conftest import RUN, untrained

TEMPLATE = Path(__file__).parents[2] / "model_card" / "template.md"


def test_card_shows_calibration_gates_and_breakdowns_from_the_files(evaluated):
    folder, first, _ = evaluated
    card = ModelCard.load(folder / "model" / "README.md")
    assert f"| ExHuBERT | {100 * first['calibration']['ece']:.1f} | {first['calibration']['brier']:.3f} |" in card.text
    assert "By gender, UAR in %: unknown" in card.text and "By speaker, UAR in %: from" in card.text
    assert "| speakers in more than one partition | none of 5 |" in card.text
    assert "2 steps on 36 utterances of EMO-DB, own, Demo in" in card.text
    assert card.data.datasets == ["emo_db"], "the Hub would take any other name for somebody else's dataset"
    shown = {line.split("(")[1].rstrip(")") for line in card.text.splitlines() if line.startswith("![")}
    written = {f"plots/{path.name}" for path in (folder / "model" / "plots").iterdir()}
    assert shown == written and {"plots/confidence.png", "plots/gate_history.png"} <= shown


def test_nothing_but_rows_stands_in_the_tables_of_the_card(evaluated):
    lines = (evaluated[0] / "model" / "README.md").read_text().splitlines()
    for line, following in pairwise(lines):
        assert not line.startswith("|") or following == "" or following.startswith("|"), following
        assert line == "" or line.startswith("|") or not following.startswith("|"), line


def test_a_run_that_wrote_no_history_of_its_gates_gets_a_card_all_the_same(evaluated, tmp_path):
    folder, _, _ = evaluated
    old = {key: value for key, value in RUN.items() if key != "corpora"}
    old["invariants"] = {key: RUN["invariants"][key] for key in ("ZeroInitIdentityCallback", "FrozenWeightsCallback")}
    text = write_card(untrained(tmp_path, 0, old), folder / "first", TEMPLATE).read_text()
    assert "gate_history" not in text and "datasets:" not in text and "2 steps on 36 utterances in" in text
