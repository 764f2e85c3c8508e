"""`evaluate_model` and its recipe: from a model folder to results and a card, with small untrained models."""

import json
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
import torch
from huggingface_hub import ModelCard
from transformers import HubertModel

from exhubert import SIX_CLASSES, ExHuBERTForSequenceClassification
from exhubert.conversion.loading import load_classifier
from exhubert.emoset import load
from exhubert.evaluation.evaluate_model import keep_temperature
from exhubert.evaluation.protocols import apply_protocol, hash_of_seen
from exhubert.hub.card import write_card
from exhubert.inference.recordings import load_pipeline, predict

from ..conftest import load_recipe, tiny_hubert

TEMPLATE = Path(__file__).parents[2] / "model_card" / "template.md"
RUN = {
    "model": {"method": "exhubert"},
    "data": {"corpora": None, "languages": None, "max_seconds": 1.0, "class_weighting": True},
    "corpora": ["emo_db", "own", "demo"],
    "languages": ["und"],
    "steps": 2,
    "seconds": 1.0,
    "processes": 1,
    "utterances": {"train": 36},
    "parameters": {"trainable": 1, "all": 2},
    "validation": {"uar": 0.5},
    "training": {"seed": 0},
    "versions": {},
    "gate_norms": {"0": 0.0, "1": 0.1, "2": 0.2},
    "invariants": {
        "ZeroInitIdentityCallback": {"checked": False, "reference": "nothing"},
        "FrozenWeightsCallback": {"parameters": 1, "sha256_before": "a", "sha256_after": "a", "unchanged": True},
        "DisjointSpeakersCallback": {"speakers": 5, "unnamed": 0},
        "GateReportCallback": {
            "history": [
                {"step": 0, "norm": [0.0] * 3, "added": [0.0] * 3},
                {"step": 2, "norm": [0.0, 0.1, 0.2], "added": [0.0, 0.01, 0.02]},
            ]
        },
    },
}


def untrained(folder, seed, run=None):
    model = ExHuBERTForSequenceClassification.from_hubert(tiny_hubert("pre_norm", HubertModel), list(SIX_CLASSES))
    torch.manual_seed(seed)
    torch.nn.init.normal_(model.classifier.weight)
    model.save_pretrained(folder)
    if run:
        (folder / "run.json").write_text(json.dumps(run))
        (folder / "trainer_state.json").write_text(json.dumps({"log_history": [{"step": 1, "loss": 1.0}]}))
    return folder


def evaluate(model, data, output, *options):
    load_recipe("evaluate_model").main([str(model), "--data", str(data), "--output", str(output), *map(str, options)])
    return json.loads((output / "results.json").read_text())


@pytest.fixture(scope="module")
def evaluated(tone_dataset, tmp_path_factory):
    """A model with a record of training, another without, and the results of both, the first with its card."""
    folder = tmp_path_factory.mktemp("evaluated")
    model, other = untrained(folder / "model", 0, RUN), untrained(folder / "other", 1)
    second = evaluate(other, tone_dataset, folder / "second", "--partition", "train", "--max_seconds", 1)
    compared = ("--compare", f"other={folder / 'second'}", "--card", "--max_seconds", 1)
    first = evaluate(model, tone_dataset, folder / "first", "--partition", "train", *compared)
    return folder, first, second


def test_paired_difference_is_that_of_the_two_results_and_is_in_the_card(evaluated):
    folder, first, second = evaluated
    found = first["paired"]["other"]["overall"]
    assert found["difference"] == pytest.approx(first["overall"]["uar"] - second["overall"]["uar"])
    assert found["difference"] != 0 and second["paired"] == {}
    text = (folder / "model" / "README.md").read_text()
    assert f"| other | {100 * found['difference']:+z.1f} | too few speakers | {found['only_this_right']} |" in text


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


def test_comparing_with_other_windows_is_refused_before_anything_is_predicted(evaluated, tone_dataset, tmp_path):
    folder, _, _ = evaluated
    with pytest.raises(ValueError, match=r"other .*other utterances, or with another --max_seconds"):
        evaluate(
            folder / "model", tone_dataset, tmp_path, "--max_seconds", 1, "--compare", f"other={folder / 'second'}"
        )
    assert not (tmp_path / "results.json").exists()


def test_calibrating_keeps_a_temperature_that_the_pipeline_uses_and_changes_no_answer(tone_dataset, tmp_path):
    model = untrained(tmp_path / "model", 2)
    before = evaluate(model, tone_dataset, tmp_path / "before")
    uncalibrated = pd.read_csv(tmp_path / "before" / "predictions.csv")
    after = evaluate(model, tone_dataset, tmp_path / "after", "--calibrate")
    temperature = json.loads((model / "config.json").read_text())["logit_temperature"]
    assert before["temperature"] is None and after["temperature"] == temperature != 1.0
    assert after["overall"] == before["overall"]
    calibrated = pd.read_csv(tmp_path / "after" / "predictions.csv")
    columns = [f"p_{name}" for name in SIX_CLASSES]
    expected = uncalibrated[columns].to_numpy() ** (1 / temperature)
    expected /= expected.sum(axis=1, keepdims=True)
    assert calibrated[columns].to_numpy() == pytest.approx(expected, abs=1e-5)
    row = load(tone_dataset)["test"][0]
    found = predict(load_pipeline(model), row["audio"]["bytes"])
    known = calibrated.set_index("utterance_id").loc[row["utterance_id"]]
    assert found.scores == pytest.approx({name: known[f"p_{name}"] for name in SIX_CLASSES}, abs=1e-5)
    with pytest.raises(ValueError, match="Calibration learns from the validation partition"):
        evaluate(model, tone_dataset, tmp_path / "never", "--calibrate", "--partition", "validation")


def test_a_plain_hubert_keeps_its_temperature_too(tmp_path):
    hubert = tiny_hubert("pre_norm")
    hubert.save_pretrained(tmp_path / "model")
    keep_temperature(tmp_path / "model", 1.7)
    loaded = load_classifier(tmp_path / "model")
    assert loaded.config.logit_temperature == 1.7
    loaded.save_pretrained(tmp_path / "again")
    assert load_classifier(tmp_path / "again").config.logit_temperature == 1.7


def test_a_model_trained_in_a_fold_is_evaluated_in_that_fold(tone_dataset, tmp_path):
    data = RUN["data"] | {"protocol": "speaker_folds", "fold": 3, "folds": 5}
    parts, _ = apply_protocol(load(tone_dataset), "speaker_folds", 3, 5)
    run = RUN | {"data": data, "fold": "fold 3", "seen_sha256": hash_of_seen(parts)}
    model = untrained(tmp_path / "model", 0, run)
    evaluate(model, tone_dataset, tmp_path / "results")
    tested = set(pd.read_csv(tmp_path / "results" / "predictions.csv")["utterance_id"])
    assert tested == set(parts["test"]["utterance_id"]) and not tested & set(parts["train"]["utterance_id"])
    (model / "run.json").write_text(json.dumps(run | {"seen_sha256": "of other utterances"}))
    with pytest.raises(ValueError, match="trained in fold 3 of protocol speaker_folds, on other utterances than"):
        evaluate(model, tone_dataset, tmp_path / "results")


def test_a_language_nobody_speaks_is_named(evaluated, tone_dataset, tmp_path):
    with pytest.raises(ValueError, match="No utterance to evaluate has one of xx as its language"):
        evaluate(evaluated[0] / "model", tone_dataset, tmp_path, "--languages", "xx")
