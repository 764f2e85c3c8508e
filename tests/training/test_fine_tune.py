"""What else a lab sets: balance, augmentation, learning rates, averaged weights, and the checks that stop a run."""

import itertools
import json
import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import TrainerCallback

from exhubert.audio_windows import cut_windows
from exhubert.conversion.folding import added_shares
from exhubert.emoset import build
from exhubert.records import Run
from exhubert.training import (
    DataArguments,
    GateReportCallback,
    InvariantError,
    ModelArguments,
    fine_tune,
    load_for_training,
)
from exhubert.training.callbacks import DisjointSpeakersCallback, gate_norms
from exhubert.training.model import base_hubert

from ..conftest import new_model, new_trainer, real_batch, tiny_hubert, write_tone
from .conftest import LABELS, settings

NAMES = ["low_negative", "low_neutral", "low_positive", "high_negative", "high_neutral", "high_positive"]


def test_each_arm_trains_the_parts_it_names(hubert_folder):
    def trained(**options):
        model, _ = load_for_training(ModelArguments(model=str(hubert_folder), **options), LABELS)
        return model, {name for name, weight in model.named_parameters() if weight.requires_grad}

    _, head = trained(method="hubert", freeze_encoder=True)
    assert {name.split(".")[0] for name in head} == {"projector", "classifier"}
    _, whole = trained(method="hubert")
    assert head < whole and any("encoder.layers.0" in name for name in whole)
    _, usual = trained()
    assert not any(".frozen." in name for name in usual)
    _, unfrozen = trained(freeze_first_copies=False)
    assert {name for name in unfrozen - usual} == {name for name in unfrozen if ".frozen." in name} != set()
    drawn, _ = trained(zero_init=False)
    assert all(block.gate.weight.any() for block in drawn.blocks)
    assert base_hubert(drawn)[0] is None, "without zero gates there is no identity to confirm"


def test_a_run_with_other_kernels_has_the_same_losses_and_passes_the_same_checks(hubert_folder, tone_dataset, tmp_path):
    losses, states = [], []
    for kernels in ("torch", "onednn"):
        fine_tune(*settings(hubert_folder, tone_dataset, tmp_path / kernels, kernels=kernels, max_steps=3))
        state = json.loads((tmp_path / kernels / "trainer_state.json").read_text())
        losses.append([line["loss"] for line in state["log_history"] if "loss" in line])
        states.append(load_file(tmp_path / kernels / "model.safetensors"))
        checks = json.loads((tmp_path / kernels / "run.json").read_text())["invariants"]
        assert checks["ZeroInitIdentityCallback"]["identical"] and checks["FrozenWeightsCallback"]["unchanged"]
    np.testing.assert_allclose(losses[1], losses[0], rtol=0, atol=1e-5)
    assert len(losses[0]) == 3 and states[0].keys() == states[1].keys()


def test_a_corpus_of_one_speaker_trains_and_the_record_says_who_is_in_train_and_validation(hubert_folder, tmp_path):
    lines = ["file,label,speaker"]
    for index in range(16):
        write_tone(tmp_path / f"own/{index}.wav", 0.4, frequency=200.0 + 50 * index)
        lines.append(f"{index}.wav,{('joy', 'anger')[index % 2]},anna")
    (tmp_path / "own/manifest.csv").write_text("\n".join(lines) + "\n")
    build({"own": tmp_path / "own"}, tmp_path / "data")
    run = fine_tune(*settings(hubert_folder, tmp_path / "data", tmp_path / "run", max_steps=1))
    assert run.utterances == {"train": 12, "validation": 4}
    assert run.invariants["DisjointSpeakersCallback"] == {"speakers": 1, "unnamed": 0, "divided": ["own/anna"]}


def test_rare_classes_are_not_made_to_count_twice():
    with pytest.raises(ValueError, match="both make rare classes count more"):
        DataArguments(balance=["label"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "hubert", "zero_init": False}, "`zero_init` has no effect with method `hubert`"),
        ({"lora_rank": 4}, "`lora_rank` has no effect with method `exhubert`"),
        ({"method": "hubert", "lora_rank": 4, "freeze_encoder": True}, "exclude each other"),
        ({"method": "hubert", "lora_rank": -1}, "expected 1 or more"),
    ],
)
def test_options_that_contradict_the_method_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ModelArguments(**options)


def test_low_rank_adapters_end_in_a_model_anybody_loads(hubert_folder, tone_dataset, tmp_path):
    pytest.importorskip("peft")
    from transformers import AutoModelForAudioClassification

    arguments = settings(hubert_folder, tone_dataset, tmp_path, model={"method": "hubert", "lora_rank": 2})
    run = fine_tune(*arguments)
    model = AutoModelForAudioClassification.from_pretrained(tmp_path)
    assert type(model).__name__ == "HubertForSequenceClassification"
    assert run.parameters["trainable"] < 0.3 * run.parameters["all"]
    before, _ = load_for_training(ModelArguments(model=str(hubert_folder), method="hubert"), NAMES)
    name = "hubert.encoder.layers.0.attention.q_proj.weight"
    assert not torch.equal(model.state_dict()[name], before.state_dict()[name]), "the adapters are merged in"


def test_gates_copies_and_head_get_their_own_learning_rates(data, tmp_path):
    _, model = new_model()
    rates = {"gate_learning_rate": 1e-2, "adapted_learning_rate": 1e-4, "head_learning_rate": 5e-3}
    trainer = new_trainer(data, model, tmp_path, learning_rate=2e-5, **rates)
    optimizer = trainer.create_optimizer()
    rate_of = {parameter: (g["lr"], g["weight_decay"]) for g in optimizer.param_groups for parameter in g["params"]}
    block = model.blocks[1]
    assert rate_of[block.gate.weight] == (1e-2, 0.01)
    assert rate_of[block.adapted.attention.q_proj.weight] == (1e-4, 0.01)
    assert rate_of[block.adapted.attention.q_proj.bias] == (1e-4, 0.0), "biases don't decay"
    assert rate_of[model.classifier.weight] == (5e-3, 0.01)
    assert rate_of[model.hubert.feature_projection.projection.weight][0] == 2e-5
    assert set(rate_of) == {p for p in model.parameters() if p.requires_grad}


def test_the_trainer_changes_the_order_with_the_epoch(data, tmp_path):
    seen = []

    class Watch(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            seen.append(tuple(trainer.finite.utterances))

    _, model = new_model()
    trainer = new_trainer(data, model, tmp_path, [Watch()], num_train_epochs=2, eval_strategy="no", save_strategy="no",
                          load_best_model_at_end=False)  # fmt: skip
    trainer.train()
    half = len(seen) // 2
    first, second = seen[:half], seen[half:]
    assert first != second and sorted(sum(first, ())) == sorted(sum(second, ())) == sorted(
        data["train"]["utterance_id"]
    )


@pytest.mark.parametrize("total", [1, 399, 400, 401, 12_345, 48_000, 48_001])
def test_windows_cover_every_sample_in_order_and_are_of_one_length(total):
    windows = cut_windows(np.arange(total), 400)
    assert len(windows) == -(-total // 400) and {len(window) for window in windows} == {min(total, 400)}
    assert np.unique(np.concatenate(windows)).tolist() == list(range(total))
    assert all(a[0] < b[0] for a, b in itertools.pairwise(windows))


def test_logit_adjustment_adds_the_log_priors_in_training_only(data, tmp_path):
    _, model = new_model()
    trainer = new_trainer(data, model, tmp_path, logit_adjustment=0.5)
    trainer.class_weights = None
    trainer.class_priors = torch.tensor([0.5, 0.1, 0.1, 0.1, 0.1, 0.1])
    batch = real_batch(data, model)
    logits = model.eval()(batch["input_values"], attention_mask=batch["attention_mask"]).logits
    plain = torch.nn.functional.cross_entropy(logits, batch["labels"])
    adjusted = torch.nn.functional.cross_entropy(logits + 0.5 * trainer.class_priors.log(), batch["labels"])
    torch.testing.assert_close(trainer.compute_loss(model, dict(batch)), plain)
    torch.testing.assert_close(trainer.compute_loss(model.train(), dict(batch)), adjusted)


def test_a_loss_that_is_no_number_stops_the_run_and_names_the_utterance(data, tmp_path):
    _, model = new_model()
    trainer = new_trainer(data, model, tmp_path)
    collate, bad = trainer.data_collator, data["train"]["utterance_id"][7]

    def poisoned(rows):
        batch = collate(rows)
        for index, name in enumerate(batch["utterance_ids"]):
            if name == bad:
                batch["input_values"][index, 5] = float("nan")
        return batch

    trainer.data_collator = poisoned
    with pytest.raises(InvariantError, match=rf"After step \d+ the loss is NaN or infinite on {bad}\. Look"):
        trainer.train()


def test_a_gradient_that_is_no_number_stops_the_run(data, tmp_path):
    _, model = new_model()
    model.blocks[1].gate.weight.register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(InvariantError, match="a gradient is NaN or infinite, on a batch of own/"):
        new_trainer(data, model, tmp_path).train()


def test_a_speaker_in_two_partitions_stops_the_run(data, tmp_path):
    _, model = new_model()
    check = DisjointSpeakersCallback({"train": ["own/a", "own/b", None], "test": ["own/b", None]})
    with pytest.raises(InvariantError, match="1 speakers stand in two partitions: own/b"):
        new_trainer(data, model, tmp_path, [check]).train()
    _, model = new_model()
    check = DisjointSpeakersCallback({part: list(rows["speaker"]) for part, rows in data.items()})
    new_trainer(data, model, tmp_path / "good", [check], max_steps=1, eval_strategy="no", save_strategy="no",
                load_best_model_at_end=False).train()  # fmt: skip
    assert check.findings == {"speakers": 5, "unnamed": 0}


def test_the_gate_report_measures_what_each_block_adds(data, tmp_path):
    _, model = new_model()
    batch = real_batch(data, model)
    inputs = {key: batch[key] for key in ("input_values", "attention_mask")}
    assert added_shares(model, inputs) == {0: 0.0, 1: 0.0, 2: 0.0}
    with torch.no_grad():
        model.blocks[1].gate.weight.copy_(0.01 * torch.eye(32))
    added = added_shares(model, inputs)
    states = model.eval()(**inputs, output_hidden_states=True).hidden_states
    difference = (states[4] - states[3]).norm() / states[3].norm()  # block 1: its frozen output, then its own
    assert gate_norms(model) == pytest.approx([0.0, 0.01 * math.sqrt(32), 0.0])
    assert added == pytest.approx({0: 0.0, 1: difference.item(), 2: 0.0}, rel=1e-4)


def test_gates_are_followed_over_training_and_by_tensorboard(data, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    _, model = new_model()
    gates = GateReportCallback(real_batch(data, model))
    trainer = new_trainer(data, model, tmp_path, [gates], num_train_epochs=2, report_to=["tensorboard"])
    gates.loggers = [cb for cb in trainer.callback_handler.callbacks if "TensorBoard" in type(cb).__name__]
    trainer.train()
    history = gates.findings["history"]
    assert [entry["step"] for entry in history] == [0, trainer.state.max_steps // 2, trainer.state.max_steps]
    assert history[0]["norm"] == [0.0] * 3 and all(value > 0 for value in history[-1]["added"])
    [events] = tmp_path.rglob("events.out*")
    log = EventAccumulator(str(events.parent))
    log.Reload()
    assert log.Scalars("train/gate_added/02")[-1].value == pytest.approx(history[-1]["added"][2])


def test_a_run_writes_down_all_it_checked(hubert_folder, tone_dataset, tmp_path):
    options = {"ema_decay": 0.9, "gate_learning_rate": 2e-3}
    data = {"balance": ["label", "corpus"], "class_weighting": False}
    data |= {
        "augmentations": ["speed", "noise"],
        "protocol": "speaker_folds",
        "fold": 2,
    }
    run = fine_tune(*settings(hubert_folder, tone_dataset, tmp_path, data=data, **options))
    assert run.to_dict() == json.loads((tmp_path / "run.json").read_text()) and run == Run.load(tmp_path)
    assert run.fold == "fold 2" and run.corpora == ["own"] and run.training["gate_learning_rate"] == 2e-3
    assert set(run.invariants) == {
        "ElapsedTimeCallback", "FrozenWeightsCallback", "DisjointSpeakersCallback", "ZeroInitIdentityCallback",
        "GateReportCallback",
    }  # fmt: skip


def test_a_run_is_resumed_with_the_options_it_began_with_also_where_it_was_moved(hubert_folder, tone_dataset, tmp_path):
    def arguments(folder, **options):
        options = {"max_steps": 4, "save_strategy": "steps", "save_steps": 2, "eval_strategy": "steps"} | options
        return settings(hubert_folder, tone_dataset, folder, eval_steps=2, **options)

    run = fine_tune(*arguments(tmp_path / "run"))
    with pytest.raises(ValueError, match=r"began with learning_rate 0.001, but now learning_rate is 0.002"):
        fine_tune(*arguments(tmp_path / "run", learning_rate=2e-3, resume=True))
    (tmp_path / "run").rename(tmp_path / "moved")
    again = fine_tune(*arguments(tmp_path / "moved", resume=True))
    assert again.best_checkpoint == run.best_checkpoint != "none"
    assert again.validation["loss"] == run.validation["loss"]


def test_a_half_precision_hubert_with_a_weighted_layer_sum_is_trained_and_saved_in_fp32(tone_dataset, tmp_path):
    tiny_hubert("pre_norm", use_weighted_layer_sum=True).half().save_pretrained(tmp_path / "hubert")
    run = fine_tune(*settings(tmp_path / "hubert", tone_dataset, tmp_path / "run", max_steps=1))
    identity = run.invariants["ZeroInitIdentityCallback"]
    assert identity["identical"] and identity["logits"] == 0.0 and identity["reference"].startswith("base checkpoint")
    weights = load_file(tmp_path / "run" / "model.safetensors")
    assert {weight.dtype for weight in weights.values()} == {torch.float32} and "layer_weights" in weights
