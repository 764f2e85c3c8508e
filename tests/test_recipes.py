"""The recipes as users launch them: extend, convert, train on one and two ranks, evaluate with a card."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard
from transformers import AutoModelForAudioClassification, HubertForSequenceClassification

from exhubert import ExHuBERTForSequenceClassification
from exhubert.conversion.loading import feature_extractor_of
from exhubert.emoset import load
from exhubert.evaluation.predictions import predict_rows

from .conftest import PUBLISHED, load_recipe, tiny_hubert

RECIPES = Path(__file__).parents[1] / "recipes"
SETTINGS = {
    "max_steps": 3, "logging_steps": 1, "learning_rate": 1e-3, "warmup_steps": 0, "eval_strategy": "no",
    "save_strategy": "no", "load_best_model_at_end": False, "hidden_dropout": 0.0, "attention_dropout": 0.0,
    "activation_dropout": 0.0, "mask_time_prob": 0.0,
}  # fmt: skip


def launch(ranks, hubert, data, output, **options):
    config = RECIPES / "accelerate" / ("one_process.yaml" if ranks == 1 else "cpu_two_ranks.yaml")
    command = [
        sys.executable, "-m", "accelerate.commands.accelerate_cli", "launch", "--config_file", str(config),
        str(RECIPES / "train.py"),
    ]  # fmt: skip
    options |= {"model": hubert, "data": data, "output_dir": output, "processes": ranks}
    for name, value in (SETTINGS | options).items():
        command += [f"--{name}", str(value)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((output / "run.json").read_text())


@pytest.fixture(scope="module")
def runs(hubert_folder, tone_dataset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    one = launch(1, hubert_folder, tone_dataset, folder / "one", per_device_train_batch_size=8)
    two = launch(2, hubert_folder, tone_dataset, folder / "two", per_device_train_batch_size=4)
    return folder, one, two


@pytest.mark.slow
def test_two_ranks_train_as_one_with_the_double_batch(runs):
    folder, one, two = runs
    assert (one["processes"], two["processes"]) == (1, 2)
    histories = []
    for name in ("one", "two"):
        history = json.loads((folder / name / "trainer_state.json").read_text())["log_history"]
        histories.append([(line["loss"], line["grad_norm"]) for line in history if "loss" in line])
    assert len(histories[0]) == 3
    np.testing.assert_allclose(histories[0], histories[1], rtol=1e-3)


@pytest.mark.slow
def test_every_run_confirms_identity_and_frozen_weights(runs):
    _, one, two = runs
    for run in (one, two):
        identity, frozen = run["invariants"]["ZeroInitIdentityCallback"], run["invariants"]["FrozenWeightsCallback"]
        assert identity["hidden_states"] == 0.0 and identity["logits"] == 0.0 and identity["gates_moved_at_step"] == 1
        assert identity["reference"].startswith("base checkpoint")
        assert frozen["unchanged"]
    hashes = [run["invariants"]["FrozenWeightsCallback"]["sha256_after"] for run in (one, two)]
    assert hashes[0] == hashes[1]


@pytest.mark.slow
def test_evaluation_of_a_run_ends_in_a_card_with_plots(runs, tone_dataset, tmp_path, capsys):
    folder, run, _ = runs
    evaluate = load_recipe("evaluate_model")
    evaluate.main(
        [str(folder / "one"), "--data", str(tone_dataset), "--output", str(tmp_path), "--baselines", "--card"]
    )
    results = json.loads((tmp_path / "results.json").read_text())
    rows = load(tone_dataset)["test"]
    model = AutoModelForAudioClassification.from_pretrained(folder / "one")
    table = predict_rows(model, feature_extractor_of(folder / "one", model.config), rows)
    assert results["overall"]["utterances"] == len(rows)
    assert results["overall"]["wa"] == pytest.approx((table["label"] == table["prediction"]).mean())
    assert results["baselines"]["log-mel statistics + logistic regression"]["uar"] == 1.0, "tones are easy to tell"
    card = ModelCard.load(folder / "one" / "README.md")
    assert card.data.pipeline_tag == "audio-classification" and card.data.base_model is None
    assert card.data.eval_results[0].metric_value == pytest.approx(results["overall"]["uar"], abs=1e-4)
    assert f"sha256 `{run['invariants']['FrozenWeightsCallback']['sha256_after'][:16]}`, unchanged" in card.text
    assert "{{" not in card.text and str(tone_dataset) not in card.text
    for name in ("confusion", "groups", "training", "gates"):
        assert (folder / "one" / "plots" / f"{name}.png").stat().st_size > 5000
    assert "| all | " in capsys.readouterr().out


def test_extend_writes_a_model_that_computes_what_the_hubert_does(layout, tmp_path, capsys, speechlike):
    hubert = tiny_hubert(layout)
    hubert.save_pretrained(tmp_path / "hubert")
    load_recipe("extend").main([str(tmp_path / "hubert"), str(tmp_path / "out"), "--labels", "calm", "angry", "glad"])
    assert "difference to the HuBERT: 0 in hidden states, 0 in logits" in capsys.readouterr().out
    model = AutoModelForAudioClassification.from_pretrained(tmp_path / "out")
    with torch.no_grad():
        torch.testing.assert_close(model(speechlike).logits, hubert(speechlike).logits, atol=1e-6, rtol=0)
    extractor = feature_extractor_of(tmp_path / "out", model.config)
    assert extractor.return_attention_mask == (layout == "pre_norm")


def test_extend_takes_the_number_of_classes_too(tmp_path):
    tiny_hubert("pre_norm").save_pretrained(tmp_path / "hubert")
    load_recipe("extend").main([str(tmp_path / "hubert"), str(tmp_path / "out"), "--labels", "5"])
    assert AutoModelForAudioClassification.from_pretrained(tmp_path / "out").config.num_labels == 5


def test_convert_writes_a_folder_that_plain_transformers_loads(tmp_path, capsys):
    load_recipe("convert").main([str(PUBLISHED), str(tmp_path / "converted")])
    printed = capsys.readouterr().out
    assert "4 blocks, 4 of them with a frozen gate" in printed and "largest logit difference" in printed
    names = {path.name for path in (tmp_path / "converted").iterdir()}
    assert {
        "model.safetensors",
        "config.json",
        "preprocessor_config.json",
        "modeling_exhubert.py",
        "README.md",
    } <= names
    model = AutoModelForAudioClassification.from_pretrained(tmp_path / "converted")
    case = np.load(PUBLISHED / "io.npz")
    with torch.no_grad():
        logits = model(torch.tensor(case["nomask_3s__input_values"])).logits
    np.testing.assert_allclose(logits, case["nomask_3s__logits"], atol=2e-5)
    card = ModelCard.load(tmp_path / "converted" / "README.md")
    assert card.data.license == "cc-by-nc-sa-4.0" and "{{" not in card.text
    assert "their authors': cc-by-nc-sa-4.0" in card.text


def test_recipes_say_what_is_wrong_in_one_line(tmp_path):
    for recipe, arguments, message in (
        ("extend", ["nobody/nothing", str(tmp_path)], "extend.py: No config.json could be read from 'nobody/nothing'"),
    ):
        command = [sys.executable, str(RECIPES / f"{recipe}.py"), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
        assert done.returncode == 1 and message in done.stderr and "Traceback" not in done.stderr


def test_published_weights_load_silently_wrong_as_plain_hubert_which_is_why_convert_exists():
    """The failure users meet; if transformers ever refuses this by itself, the README can say so."""
    _, info = HubertForSequenceClassification.from_pretrained(PUBLISHED, output_loading_info=True)
    assert any("gate_bb_linear" in key for key in info["unexpected_keys"])
    assert ExHuBERTForSequenceClassification.from_published(PUBLISHED).blocks[0].frozen_gate is not None
