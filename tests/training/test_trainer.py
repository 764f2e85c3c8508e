"""Training: the loss doesn't depend on how a batch is divided, claims are checked, a run can be resumed."""

import itertools

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import HubertModel, TrainerCallback

from exhubert import ExHuBERTForSequenceClassification, default_feature_extractor
from exhubert.emoset.dataset import decode
from exhubert.evaluation.predictions import predict_rows
from exhubert.training import (
    ElapsedTimeCallback,
    FrozenWeightsCallback,
    InvariantError,
    SERTrainingArguments,
    SpeechCollator,
    ZeroInitIdentityCallback,
    class_weights,
    last_complete_checkpoint,
    refuse_used_folder,
)

from ..conftest import new_model, new_trainer, real_batch, tiny_hubert


@pytest.mark.parametrize("optim", ["adamw_torch_fused", "adafactor"])
def test_stepping_within_the_backward_pass_gives_the_same_weights_bit_for_bit(data, tmp_path, optim):
    weights = []
    for inside in (False, True):
        hubert, model = new_model()
        batch = real_batch(data, model)
        identity = ZeroInitIdentityCallback(hubert, batch)
        trainer = new_trainer(
            data, model, tmp_path / str(inside), [identity, FrozenWeightsCallback()],
            max_grad_norm=0.0, step_in_backward=inside, optim=optim, gate_learning_rate=3e-3,
        )  # fmt: skip
        trainer.train()
        assert identity.findings["gates_with_gradient"] == identity.findings["gates_moved_at_step"] * 6 == 6
        weights.append({name: value.clone() for name, value in model.state_dict().items()})
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert not torch.equal(weights[0]["classifier.weight"], new_model()[1].classifier.weight)


def test_a_gradient_is_gone_once_its_weight_has_moved(data, tmp_path):
    _, model = new_model()
    trainer = new_trainer(data, model, tmp_path, max_grad_norm=0.0, step_in_backward=True)
    trainer.create_optimizer_and_scheduler(1)
    before = model.classifier.weight.detach().clone()
    batch = real_batch(data, model)
    trainer.compute_loss(model.train(), batch).backward()
    assert not any(parameter.grad is not None for parameter in model.parameters())
    assert not torch.equal(model.classifier.weight, before)
    model.classifier.weight.register_hook(lambda gradient: gradient * float("nan"))
    with pytest.raises(InvariantError, match="a gradient is NaN or infinite"):
        trainer.compute_loss(model, batch).backward()


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({}, "`max_grad_norm` is 1, which needs all gradients at once: set it to 0"),
        ({"max_grad_norm": 0.0, "gradient_accumulation_steps": 2}, "`gradient_accumulation_steps` is 2"),
    ],
)
def test_stepping_within_the_backward_pass_refuses_what_needs_all_gradients(tmp_path, options, why):
    with pytest.raises(ValueError, match=why):
        SERTrainingArguments(output_dir=str(tmp_path), step_in_backward=True, **options)


def test_two_accumulated_steps_equal_one_double_batch(data, tmp_path):
    logs = []
    for name, size, accumulation in (("double", 8, 1), ("accumulated", 4, 2)):
        _, model = new_model()
        trainer = new_trainer(
            data, model, tmp_path / name, per_device_train_batch_size=size, gradient_accumulation_steps=accumulation,
            max_steps=3, eval_strategy="no", save_strategy="no", load_best_model_at_end=False,
        )  # fmt: skip
        trainer.data_collator.random_crop = False
        trainer.train()
        logs.append([(line["loss"], line["grad_norm"]) for line in trainer.state.log_history if "loss" in line])
    assert len(logs[0]) == 3
    np.testing.assert_allclose(logs[0], logs[1], rtol=1e-4)


def test_the_loss_is_the_weighted_mean_cross_entropy(data, tmp_path):
    _, model = new_model()
    trainer = new_trainer(data, model, tmp_path)
    batch = real_batch(data, model)
    labels = batch["labels"]
    logits = model(batch["input_values"], attention_mask=batch["attention_mask"]).logits
    each = torch.nn.functional.cross_entropy(logits, labels, reduction="none") * trainer.class_weights[labels]
    torch.testing.assert_close(trainer.compute_loss(model, dict(batch)), each.mean())


def test_class_weights_average_to_one_over_the_training_set():
    labels = [0] * 7 + [2] * 2 + [3]
    weights = class_weights(labels, 5)
    assert weights[labels].mean().item() == pytest.approx(1.0)
    assert weights[1] == 0 and weights[3] == 7 * weights[0]


def test_mixed_precision_passes_the_same_checks(data, tmp_path):
    hubert, model = new_model()
    identity = ZeroInitIdentityCallback(hubert, real_batch(data, model), "test HuBERT")
    new_trainer(data, model, tmp_path, [identity, FrozenWeightsCallback()], bf16=True, max_steps=2).train()
    assert identity.findings["identical"] and identity.findings["gates_moved_at_step"] == 1


def test_resuming_with_other_frozen_weights_is_refused(data, tmp_path):
    """A checkpoint holds no frozen weights: they come from where the run began, which may have changed meanwhile."""
    _, model = new_model()
    new_trainer(data, model, tmp_path, [StopAt(4), FrozenWeightsCallback()], save_strategy="steps", save_steps=4,
                eval_strategy="no", load_best_model_at_end=False).train()  # fmt: skip
    _, resumed = new_model()
    with torch.no_grad():
        resumed.blocks[0].frozen.layer_norm.bias += 1.0
    trainer = new_trainer(data, resumed, tmp_path, [FrozenWeightsCallback()], num_train_epochs=2,
                          eval_strategy="no", save_strategy="no", load_best_model_at_end=False)  # fmt: skip
    with pytest.raises(InvariantError, match="differ from those the run began with"):
        trainer.train(resume_from_checkpoint=last_complete_checkpoint(tmp_path))


def test_a_checkpoint_of_another_run_is_refused(data, tmp_path):
    _, model = new_model()
    trainer = new_trainer(data, model, tmp_path, [StopAt(2)], save_strategy="steps", save_steps=2, eval_strategy="no",
                          load_best_model_at_end=False)  # fmt: skip
    trainer.train()
    _, other = new_model()
    other.unfreeze_og_encoder()
    with pytest.raises(ValueError, match="missing weights hubert.encoder.layers.0.frozen"):
        new_trainer(data, other, tmp_path).train(resume_from_checkpoint=last_complete_checkpoint(tmp_path))


def test_a_checkpoint_holds_what_is_trained_and_the_finished_model_everything(data, tmp_path):
    _, model = new_model()
    trainer = new_trainer(data, model, tmp_path)
    trainer.train()
    trainer.save_model()
    [checkpoint] = tmp_path.glob("checkpoint-*")
    trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert set(load_file(checkpoint / "model.safetensors")) == trained
    whole = ExHuBERTForSequenceClassification.from_pretrained(tmp_path)
    assert all(torch.equal(weight, model.state_dict()[name]) for name, weight in whole.state_dict().items())


def test_group_norm_models_are_evaluated_one_by_one(data, tmp_path):
    model = ExHuBERTForSequenceClassification.from_hubert(tiny_hubert("post_norm", HubertModel))
    trainer = new_trainer(data, model, tmp_path, per_device_eval_batch_size=8)
    assert len(trainer.get_eval_dataloader()) == len(data["validation"])
    together = trainer.predict(data["validation"]).predictions
    table = predict_rows(model, default_feature_extractor(model.config), data["validation"], 0.4, batch_size=8)
    probabilities = torch.from_numpy(together).softmax(-1).numpy()
    np.testing.assert_allclose(table[[name for name in table if name.startswith("p_")]], probabilities, atol=1e-6)


def test_evaluation_hears_whole_utterances_and_averages_their_windows(data, tmp_path):
    """Windows of 0.15 s of utterances of 0.4 and 0.45 s: three each, whatever they are batched with."""
    _, model = new_model()
    trainer = new_trainer(data, model, tmp_path, per_device_eval_batch_size=5)
    extractor = default_feature_extractor(model.config)
    trainer.eval_collator = SpeechCollator(extractor, 0.15)
    logits = trainer.predict(data["validation"]).predictions
    for row, found in zip(data["validation"], logits, strict=True):
        samples = decode(row["audio"])
        parts = [samples[:2400], samples[2400:4800], samples[-2400:]]
        with torch.no_grad():
            each = [model(**extractor(part, sampling_rate=16_000, return_tensors="pt")).logits for part in parts]
        np.testing.assert_allclose(found, torch.cat(each).mean(dim=0), atol=1e-5)
    table = predict_rows(model, extractor, data["validation"], 0.15, batch_size=7)
    np.testing.assert_array_equal(table["prediction"], logits.argmax(axis=-1))


class StopAt(TrainerCallback):
    def __init__(self, step):
        self.step = step

    def on_step_end(self, args, state, control, **kwargs):
        control.should_training_stop = state.global_step == self.step


def checks():
    return FrozenWeightsCallback(), ElapsedTimeCallback()


@pytest.mark.parametrize("step", [3, 5, 7])
def test_a_resumed_run_ends_in_the_same_weights_as_an_undisturbed_one(data, tmp_path, step):
    """Stopped in the middle of an epoch, at its end and after it; utterances are cropped."""
    settings = {"num_train_epochs": 2, "save_strategy": "steps", "save_steps": step, "eval_strategy": "no"}
    settings |= {"load_best_model_at_end": False}
    _, undisturbed = new_model()
    whole = new_trainer(data, undisturbed, tmp_path / "whole", **settings)
    whole.train()

    _, stopped = new_model()
    new_trainer(data, stopped, tmp_path / "parts", [StopAt(step), *checks()], **settings).train()
    _, resumed = new_model()
    frozen, elapsed = checks()
    trainer = new_trainer(data, resumed, tmp_path / "parts", [frozen, elapsed], **settings)
    trainer.train(resume_from_checkpoint=last_complete_checkpoint(tmp_path / "parts"))
    assert trainer.state.global_step == whole.state.global_step > step
    assert frozen.findings["unchanged"] and elapsed.findings["seconds"] > 0
    for name, weight in undisturbed.state_dict().items():
        assert torch.equal(weight, resumed.state_dict()[name]), name


@pytest.mark.parametrize(
    ("damage", "how"),
    [
        *itertools.product(
            ("model.safetensors", "trainer_state.json", "optimizer.pt", "scheduler.pt"), ("missing", "cut")
        ),
        ("rng_state.pth", "missing"),
    ],
)
def test_a_damaged_last_checkpoint_is_passed_over_for_the_one_before(data, tmp_path, damage, how):
    _, model = new_model()
    new_trainer(data, model, tmp_path, num_train_epochs=2).train()
    first, last = sorted(tmp_path.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    assert last_complete_checkpoint(tmp_path) == str(last)
    path = last / damage
    if how == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert last_complete_checkpoint(tmp_path) == str(first)
    assert last_complete_checkpoint(tmp_path / "nowhere") is None


def test_a_folder_with_another_runs_checkpoints_is_refused(tmp_path):
    refuse_used_folder(tmp_path)
    (tmp_path / "checkpoint-7").mkdir()
    with pytest.raises(ValueError, match="holds 1 checkpoints of an earlier run. Continue it with --resume true"):
        refuse_used_folder(tmp_path)


def test_training_crops_differ_by_seed_epoch_and_utterance_and_by_nothing_else():
    extractor = default_feature_extractor(new_model()[1].config)
    samples = np.arange(16_000, dtype=np.float32)
    starts = [
        SpeechCollator(extractor, 0.5, random_crop=True, seed=seed, epoch=epoch).training_clip(samples, name)[0]
        for seed, epoch, name in itertools.product(range(3), range(3), ("a", "b", "a/c"))
    ]
    assert len(set(starts)) > 20 and max(starts) <= 8000
    assert starts[0] == SpeechCollator(extractor, 0.5, random_crop=True).training_clip(samples, "a")[0]
    assert len(SpeechCollator(extractor, 3.0, random_crop=True).training_clip(samples, "a")) == 16_000
