"""Averaged weights are evaluated, kept and resumed."""

import torch
from safetensors.torch import load_file
from transformers import TrainerCallback

from exhubert.emoset import load

from ..conftest import new_model, new_trainer


def test_averaged_weights_are_evaluated_kept_and_resumed(hubert_folder, tone_dataset, tmp_path):
    """Decay 0.5 over the weights after each of four steps: a sum by hand."""
    from exhubert.training.averaging import WeightAverageCallback

    data = load(tone_dataset)
    _, model = new_model()
    weights = [model.classifier.weight.detach().clone()]

    class Watch(TrainerCallback):
        def on_step_end(self, args, state, control, model=None, **kwargs):
            weights.append(model.classifier.weight.detach().clone())

    options = {"max_steps": 4, "save_strategy": "steps", "save_steps": 2, "eval_strategy": "no",
               "load_best_model_at_end": False}  # fmt: skip
    trainer = new_trainer(data, model, tmp_path, [Watch()], **options)
    trainer.average = WeightAverageCallback(0.5)
    trainer.add_callback(trainer.average)
    trainer.train()
    expected = weights[0]
    for weight in weights[1:]:
        expected = 0.5 * expected + 0.5 * weight
    torch.testing.assert_close(model.classifier.weight.detach(), expected)
    assert not torch.allclose(model.classifier.weight, weights[-1])

    _, resumed = new_model()
    again = new_trainer(data, resumed, tmp_path, **options)
    again.average = WeightAverageCallback(0.5)
    again.add_callback(again.average)
    again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, resumed.state_dict()[name]), name
    checkpoint = load_file(tmp_path / "checkpoint-4" / "model.safetensors")
    (
        torch.testing.assert_close(checkpoint["classifier.weight"], weights[-1]),
        "a checkpoint goes on from the last weights",
    )
