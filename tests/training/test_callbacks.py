"""The callbacks confirm what the method claims, and stop a run in which a claim is broken."""

import copy
import json

import pytest
import torch
from transformers import TrainerCallback

from exhubert.training import (
    FrozenWeightsCallback,
    InvariantError,
    ZeroInitIdentityCallback,
)
from exhubert.training.callbacks import frozen_hash

from ..conftest import new_model, new_trainer, real_batch


def test_callbacks_confirm_identity_frozen_weights_and_the_first_step(data, tmp_path):
    hubert, model = new_model()
    identity = ZeroInitIdentityCallback(hubert, real_batch(data, model), "test HuBERT")
    frozen = FrozenWeightsCallback()
    before = frozen_hash(model)
    trainer = new_trainer(data, model, tmp_path, [identity, frozen], warmup_steps=2)
    trainer.train()
    assert identity.findings["hidden_states"] == 0.0 and identity.findings["logits"] == 0.0
    assert identity.findings["identical"] and identity.findings["gates_with_gradient"] == 2 * len(model.blocks)
    assert identity.findings["adapted_copies_with_gradient"] == 0
    assert identity.findings["gates_moved_at_step"] == 2, "the first step of a warm-up has learning rate 0"
    assert frozen.findings["unchanged"] and frozen.findings["sha256_after"] == before["sha256"]
    trainer.save_state()
    state = json.loads((tmp_path / "trainer_state.json").read_text())["stateful_callbacks"]
    assert state["ZeroInitIdentityCallback"]["attributes"]["findings"] == identity.findings
    assert state["FrozenWeightsCallback"]["attributes"]["findings"] == frozen.findings


@pytest.mark.parametrize("fault", ["another hubert", "open gate"])
def test_training_refuses_to_start_where_the_identity_is_broken(data, tmp_path, fault):
    hubert, model = new_model()
    with torch.no_grad():
        if fault == "open gate":
            model.blocks[0].gate.bias[0] = 0.01
        else:
            hubert.encoder.layers[2].final_layer_norm.bias += 0.01
    before = copy.deepcopy(model.state_dict())
    trainer = new_trainer(data, model, tmp_path, [ZeroInitIdentityCallback(hubert, real_batch(data, model), "it")])
    with pytest.raises(InvariantError, match="differs from the HuBERT it came from"):
        trainer.train()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_weights_that_change_before_the_first_step_stop_the_run(data, tmp_path):
    """As DeepSpeed rounds them where it is asked for bf16."""
    _, model = new_model()
    trainer = new_trainer(data, model, tmp_path, [FrozenWeightsCallback()])
    with torch.no_grad():
        model.blocks[0].frozen.layer_norm.bias += 1e-3
    with pytest.raises(InvariantError, match="frozen weights changed before the first step"):
        trainer.train()


def test_a_check_that_is_added_to_a_trainer_later_is_made_all_the_same(data, tmp_path):
    hubert, model = new_model()
    trainer = new_trainer(data, model, tmp_path, max_steps=1, eval_strategy="no", save_strategy="no",
                          load_best_model_at_end=False)  # fmt: skip
    identity = ZeroInitIdentityCallback(hubert, real_batch(data, model), "test HuBERT")
    trainer.add_callback(identity)
    trainer.train()
    assert identity.findings["identical"] and identity.findings["gates_moved_at_step"] == 1


class OpensACopy(TrainerCallback):
    """Gives an adapted copy a gradient, or holds a gate still, as a wrong implementation would."""

    def __init__(self, fault):
        self.fault = fault

    def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs):
        if self.fault == "early gradient":
            model.blocks[0].adapted.layer_norm.weight.grad += 1.0

    def on_optimizer_step(self, args, state, control, model=None, **kwargs):
        with torch.no_grad():
            if self.fault == "stuck gate":
                model.blocks[1].gate.bias.zero_()
            elif self.fault == "moved weight":
                model.blocks[1].frozen.layer_norm.bias.add_(1.0)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("early gradient", "these adapted copies do: .*layers.0.adapted.layer_norm.weight"),
        ("stuck gate", "gates didn't move: .*layers.1.gate.bias"),
        ("moved weight", "frozen weights did: .*layers.1.frozen.layer_norm.bias"),
    ],
)
def test_a_first_step_that_breaks_the_method_stops_the_run(data, tmp_path, fault, message):
    hubert, model = new_model()
    identity = ZeroInitIdentityCallback(hubert, real_batch(data, model), "test HuBERT")
    trainer = new_trainer(data, model, tmp_path, [OpensACopy(fault), identity])
    with pytest.raises(InvariantError, match=message):
        trainer.train()


class Meddler(TrainerCallback):
    """Changes a frozen weight in mid-training, as a bug would."""

    def on_step_end(self, args, state, control, model=None, **kwargs):
        if state.global_step == 3:
            with torch.no_grad():
                model.blocks[1].frozen.layer_norm.weight[0] += 1e-6


def test_a_frozen_weight_that_changed_is_an_error(data, tmp_path):
    _, model = new_model()
    trainer = new_trainer(data, model, tmp_path, [FrozenWeightsCallback(), Meddler()], load_best_model_at_end=False)
    with pytest.raises(InvariantError, match="Frozen weights changed"):
        trainer.train()
