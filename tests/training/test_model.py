"""The model a run trains, and the HuBERT it is compared with."""

import pytest
import torch

from exhubert import ExHuBERTForSequenceClassification, identity_report
from exhubert.training import (
    ModelArguments,
    load_for_training,
)
from exhubert.training.model import base_hubert

from ..conftest import new_model, new_trainer, tiny_hubert


def test_models_for_training_come_from_hubert_exhubert_and_published(hubert_folder, tmp_path):
    labels = ["a", "b", "c"]
    extended, extractor = load_for_training(ModelArguments(model=str(hubert_folder), hidden_dropout=0.3), labels)
    assert extended.config.hidden_dropout == 0.3 and extractor.return_attention_mask
    assert not any(p.requires_grad for p in extended.hubert.feature_extractor.parameters())
    extended.save_pretrained(tmp_path / "extended")
    again, _ = load_for_training(ModelArguments(model=str(tmp_path / "extended")), labels)
    assert torch.equal(again.classifier.weight, extended.classifier.weight), "a head for the same labels is kept"
    hubert, reference = base_hubert(again)
    assert hubert is not None and reference == f"base checkpoint {hubert_folder}"
    unmasked, _ = load_for_training(ModelArguments(model=str(hubert_folder), mask_time_prob=0.0), labels)
    assert all(p.requires_grad is False for n, p in unmasked.named_parameters() if n.endswith("masked_spec_embed"))
    plain, _ = load_for_training(ModelArguments(model=str(hubert_folder), method="hubert"), labels)
    assert plain.accepts_loss_kwargs is False and plain.config.layerdrop == 0.0
    with pytest.raises(ValueError, match="fine-tunes a plain HuBERT, but .* is of kind exhubert"):
        load_for_training(ModelArguments(model=str(tmp_path / "extended"), method="hubert"), labels)


def test_base_hubert_is_rebuilt_from_frozen_copies_where_the_folder_is_gone():
    _, model = new_model()
    _, reference = base_hubert(model)
    assert "frozen copies" in reference
    with torch.no_grad():
        model.blocks[0].gate.bias[0] = 1.0
    assert base_hubert(model) == (None, "the gates are open already: this model was trained before")


def test_strictly_trained_model_becomes_its_hubert_again_when_the_gates_are_closed(data, tmp_path, speechlike):
    hubert, _ = new_model()
    hubert.save_pretrained(tmp_path / "hubert")
    arguments = ModelArguments(model=str(tmp_path / "hubert"), freeze_shared_layers=True)
    model, _ = load_for_training(arguments, data["train"].features["label"].names)
    new_trainer(data, model, tmp_path / "run").train()
    with torch.no_grad():
        trained = model.hubert.eval()(speechlike).last_hidden_state
        for block in model.blocks:
            block.gate.weight.zero_()
            block.gate.bias.zero_()
        closed = model.hubert(speechlike).last_hidden_state
        expected = hubert(speechlike).last_hidden_state
    assert not torch.allclose(trained, expected)
    torch.testing.assert_close(closed, expected, atol=1e-6, rtol=0)


def test_a_weighted_layer_sum_can_be_trained_further_where_the_base_is_gone(tmp_path, speechlike):
    hubert = tiny_hubert("pre_norm", use_weighted_layer_sum=True)
    ExHuBERTForSequenceClassification.from_hubert(hubert, ["a", "b"]).save_pretrained(tmp_path)
    model, _ = load_for_training(ModelArguments(model=str(tmp_path)), ["a", "b"])
    base, reference = base_hubert(model)
    assert "frozen copies" in reference and identity_report(model, base, speechlike).identical


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_an_exhubert_stored_in_half_precision_is_compared_with_its_base_in_that_precision(
    layout, dtype, tmp_path, speechlike
):
    tiny_hubert(layout).save_pretrained(tmp_path / "hubert")
    extended = ExHuBERTForSequenceClassification.from_hubert(tmp_path / "hubert")
    extended.to(dtype).save_pretrained(tmp_path / "half")
    arguments = ModelArguments(model=str(tmp_path / "half"))
    model, _ = load_for_training(arguments, ["calm", "angry", "glad"])
    base, reference = base_hubert(model)
    rounded = str(dtype).removeprefix("torch.")
    assert reference == f"base checkpoint {tmp_path / 'hubert'}, rounded to {rounded} as the model was"
    assert identity_report(model, base, speechlike).identical
    with torch.no_grad():
        model.blocks[1].frozen.attention.v_proj.weight[0, 0] += 0.01
    base, _ = base_hubert(model)
    assert not identity_report(model, base, speechlike).identical
