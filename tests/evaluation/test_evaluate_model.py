"""`evaluate_model` and its recipe: from a model folder to results and a card, with small untrained models."""

import json

import pandas as pd
import pytest

from exhubert import SIX_CLASSES
from exhubert.conversion.loading import load_classifier
from exhubert.emoset import build, load
from exhubert.evaluation.evaluate_model import keep_temperature
from exhubert.evaluation.protocols import apply_protocol, hash_of_seen
from exhubert.evaluation.ratings import concordance
from exhubert.inference.recordings import load_pipeline, predict

from ..conftest import RUN, evaluate, opened, save, tiny_hubert, untrained
from ..emoset.conftest import corpus, rate


def test_paired_difference_is_that_of_the_two_results_and_is_in_the_card(evaluated):
    folder, first, second = evaluated
    found = first["paired"]["other"]["overall"]
    assert found["difference"] == pytest.approx(first["overall"]["uar"] - second["overall"]["uar"])
    assert found["difference"] != 0 and second["paired"] == {}
    text = (folder / "model" / "README.md").read_text()
    assert f"| other | {100 * found['difference']:+z.1f} | too few speakers | {found['only_this_right']} |" in text


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


@pytest.mark.parametrize("labels", [["valence"], list(SIX_CLASSES)])
def test_a_regression_model_is_refused_whatever_its_outputs_are_called(tone_dataset, tmp_path, labels):
    model = save(opened("pre_norm", labels=labels), tmp_path / "model", problem_type="regression")
    before = (model / "config.json").read_text()
    with pytest.raises(ValueError, match="is a regression model .*only classes can be evaluated"):
        evaluate(model, tone_dataset, tmp_path / "out", "--calibrate")
    assert (model / "config.json").read_text() == before
    assert not (tmp_path / "out" / "results.json").exists()


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


def test_ratings_of_the_dataset_are_compared_with_the_expected_arousal_and_valence(tmp_path):
    build({"rated": corpus(tmp_path / "a", [f"joy,s{index}," for index in range(6)])}, tmp_path / "data")
    pairs = [(1, 1), (2, 3), (4, 5), (5, 2), (5, 4), (1, 9)]
    rate(tmp_path / "data" / "rated", pairs, [1.0, 5.0])
    model = untrained(tmp_path / "model", 0, RUN | {"corpora": []})
    results = evaluate(model, tmp_path / "data", tmp_path / "results", "--partition", "all")
    table = pd.read_csv(tmp_path / "results" / "predictions.csv")
    assert sorted(table["arousal_rating"]) == [0, 0.25, 0.75, 1, 1], "the rating outside the scale gives no class"
    assert sorted(table["valence_rating"]) == [-1, -0.5, 0, 0.5, 1]
    assert results["labels"]["from_ratings"] == 5 and results["labels"]["outside_scale"] == 1
    expected = sum(table[f"p_high_{valence}"] for valence in ("negative", "neutral", "positive"))
    assert results["ratings"]["arousal"]["utterances"] == 5
    assert results["ratings"]["arousal"]["ccc"] == pytest.approx(
        concordance(table["arousal_rating"], expected), abs=1e-6
    )
    arousal = save(opened("pre_norm", labels=["low", "high"]), tmp_path / "arousal")
    results = evaluate(arousal, tmp_path / "data", tmp_path / "other", "--partition", "all")
    assert results["ratings"] is None and results["overall"]["utterances"] == 6
