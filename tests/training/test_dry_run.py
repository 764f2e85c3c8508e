"""The dry run does one step and leaves nothing behind."""

import math

import pytest

from exhubert.emoset import load
from exhubert.training import (
    ModelArguments,
    fine_tune,
    load_for_training,
)

from .conftest import LABELS, settings


def test_a_dry_run_does_one_step_says_what_the_run_takes_and_writes_nothing(
    hubert_folder, tone_dataset, tmp_path, capsys
):
    folder = tmp_path / "run"
    options = {"dry_run": True, "max_steps": -1, "num_train_epochs": 3, "gradient_accumulation_steps": 2}
    report = fine_tune(*settings(hubert_folder, tone_dataset, folder, **options))
    assert not folder.exists()
    utterances = len(load(tone_dataset)["train"])
    assert report["steps"] == 3 * math.ceil(math.ceil(utterances / 4) / 2)
    model, _ = load_for_training(ModelArguments(model=str(hubert_folder)), LABELS)
    frozen = report["parameters"]["all"] - report["parameters"]["trainable"]
    assert frozen > sum(p.numel() for block in model.blocks for p in block.frozen.parameters())
    assert report["memory_gb"]["adamw"] == pytest.approx(8e-9 * report["parameters"]["trainable"])
    assert report["step"]["tflop"] > 0 and math.isfinite(report["step"]["loss"])
    assert report["utterances"]["train"]["own"]["classes"] == [utterances // 6] * 6
    printed = capsys.readouterr().out
    assert f"{report['parameters']['trainable']:,} trained" in printed and "nothing is written" in printed
