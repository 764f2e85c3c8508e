"""Folding leaves out what a finished model doesn't use, and nothing else."""

import pytest
import torch

from exhubert import ExHuBERTForSequenceClassification
from exhubert.conversion.folding import added_shares, fold

from ..conftest import opened, tiny_hubert


def test_a_folded_model_computes_the_same_bit_for_bit_and_loads_as_such(layout, speechlike, tmp_path):
    model = opened(layout, frozen_gate=True)
    with torch.no_grad():
        model.blocks[2].frozen_gate.weight.add_(0.1)  # the other two are identities
    smaller = fold(model)
    assert (smaller.config.closed_blocks, smaller.config.frozen_gate) == ([0], [2])
    assert smaller.num_parameters() < model.num_parameters()
    assert model.blocks[0].adapted is not None  # the given one stays whole
    smaller.save_pretrained(tmp_path)
    loaded = ExHuBERTForSequenceClassification.from_pretrained(tmp_path)
    with torch.no_grad():
        expected = model(speechlike, output_hidden_states=True)
        for other in (smaller, loaded):
            found = other(speechlike, output_hidden_states=True)
            assert torch.equal(found.logits, expected.logits)
            assert len(found.hidden_states) == 7
            assert all(torch.equal(a, b) for a, b in zip(found.hidden_states, expected.hidden_states, strict=True))


def test_a_model_at_step_0_folds_to_the_work_of_its_hubert(layout, speechlike):
    hubert = tiny_hubert(layout)
    smaller = fold(ExHuBERTForSequenceClassification.from_hubert(hubert))
    assert smaller.num_parameters() == hubert.num_parameters()
    with torch.no_grad():
        assert torch.equal(smaller(speechlike).logits, hubert(speechlike).logits)


def test_further_blocks_are_dropped_where_that_is_asked_for(speechlike):
    model = opened("pre_norm", (0.3, 1e-4, 0.3))
    shares = added_shares(model, {"input_values": speechlike})
    assert min(shares, key=shares.get) == 1
    smaller = fold(model, also=[1])
    assert smaller.config.closed_blocks == [1]
    with torch.no_grad():
        difference = (smaller(speechlike).logits - model(speechlike).logits).abs().max()
    assert 0 < difference < 0.01
    with pytest.raises(ValueError, match="no block 3; the blocks are 0 to 2"):
        fold(model, also=[3])


def test_a_folded_model_trains_what_it_has(speechlike):
    model = fold(opened("pre_norm")).train()
    model(speechlike, labels=torch.tensor([0, 1])).loss.backward()
    assert all(parameter.grad is not None for parameter in model.blocks[1].adapted.parameters())
    assert model.blocks[0].adapted is None
    assert not any(parameter.requires_grad for parameter in model.blocks[0].parameters())
