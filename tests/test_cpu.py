"""The faster kernels compute what torch's own compute, train the same, and can be taken back."""

import copy

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from exhubert import ExHuBERTConfig, ExHuBERTForSequenceClassification, identity_report
from exhubert.cpu import ChannelsLastFeatureEncoder, has_onednn, round_layers, use_kernels
from exhubert.inference.recordings import load_pipeline

from .conftest import opened, save, tiny_hubert

pytestmark = pytest.mark.skipif(not has_onednn(), reason="this torch has no oneDNN")


def both(layout, **fields):
    """A model twice, with torch's kernels and with oneDNN's."""
    plain = opened(layout, frozen_gate=True, **fields)
    plain.config.apply_spec_augment = False
    fast = copy.deepcopy(plain)
    assert use_kernels(fast, "onednn") == "onednn"
    return plain, fast


def test_all_states_equal_those_of_torchs_kernels(layout, speechlike):
    plain, fast = both(layout)
    lengths = torch.tensor([[8000], [5000]])
    mask = (torch.arange(8000) < lengths).long() if layout == "pre_norm" else None
    with torch.no_grad():
        expected = plain(speechlike, attention_mask=mask, output_hidden_states=True)
        found = fast(speechlike, attention_mask=mask, output_hidden_states=True)
    torch.testing.assert_close(found.logits, expected.logits, rtol=0, atol=1e-5)
    assert len(found.hidden_states) == len(expected.hidden_states)
    for ours, theirs in zip(found.hidden_states, expected.hidden_states, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


def test_at_step_zero_a_model_still_is_its_hubert_bit_for_bit(layout, speechlike):
    hubert = tiny_hubert(layout)
    model = ExHuBERTForSequenceClassification.from_hubert(hubert)
    for each in (model, hubert):
        use_kernels(each, "onednn")
    assert identity_report(model, hubert, speechlike).identical


def test_features_with_channels_last_equal_those_of_torchs_order(layout, speechlike):
    plain, fast = both(layout)
    encoder = fast.base_model.feature_extractor
    assert isinstance(encoder, ChannelsLastFeatureEncoder)
    for samples in (400, 719, 720, 8000):  # one frame, one sample before the second, two
        clip = speechlike[:, :samples]
        with torch.no_grad():
            expected, found = plain.base_model.feature_extractor(clip), encoder(clip)
        assert found.shape == expected.shape
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_losses_and_gradients_equal_those_of_torchs_kernels(layout, speechlike):
    plain, fast = both(layout)
    for model in (plain, fast):
        model.freeze_feature_encoder()
        model(speechlike, labels=torch.tensor([0, 2])).loss.backward()
    expected = {name: parameter.grad for name, parameter in plain.named_parameters()}
    for name, parameter in fast.named_parameters():
        assert (parameter.grad is None) == (expected[name] is None), name
        if parameter.grad is not None:
            scale = float(expected[name].abs().max())
            torch.testing.assert_close(parameter.grad, expected[name], rtol=0, atol=1e-5 * max(1.0, scale))


def test_a_feature_encoder_that_trains_gets_its_gradients(layout, speechlike):
    plain, fast = both(layout)
    for model in (plain, fast):
        model(speechlike, labels=torch.tensor([0, 2])).loss.backward()
    name = "hubert.feature_extractor.conv_layers.0.conv.weight"
    found, expected = fast.get_parameter(name).grad, plain.get_parameter(name).grad
    assert expected.any()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * max(1.0, float(expected.abs().max())))


def test_under_autocast_states_and_gradients_are_the_same_bit_for_bit_also_after_frozen_weights_change(speechlike):
    plain, fast = both("pre_norm")

    def states(model):
        with torch.autocast("cpu", torch.bfloat16):
            return model.base_model.encoder(torch.ones(1, 5, 32)).last_hidden_state

    for change in (0.0, 0.1):
        for model in (plain, fast):
            with torch.no_grad():
                model.blocks[1].frozen.feed_forward.output_dense.weight.add_(change)
        ours, theirs = states(fast), states(plain)
        assert torch.equal(ours, theirs) and ours.requires_grad
    ours.sum().backward()
    theirs.sum().backward()
    for (name, found), expected in zip(fast.named_parameters(), plain.parameters(), strict=True):
        if expected.grad is not None:
            assert torch.equal(found.grad, expected.grad), name


def test_rounded_layers_lose_less_than_a_rounded_model(layout, speechlike):
    exact, rounded, pure = (opened(layout, frozen_gate=True) for _ in range(3))
    assert round_layers(rounded, torch.bfloat16) is rounded
    assert rounded.blocks[0].adapted.attention.q_proj.weight.dtype == torch.bfloat16
    assert rounded.dtype == rounded.projector.weight.dtype == rounded.classifier.weight.dtype == torch.float32
    with torch.no_grad():
        expected = exact(speechlike).logits
        for kernels in ("torch", "onednn"):
            use_kernels(rounded, kernels)
            errors = [(found - expected).norm() for found in (rounded(speechlike).logits, pure.bfloat16()(
                speechlike.bfloat16()).logits.float())]  # fmt: skip
            assert 0 < errors[0] < errors[1]


def test_channels_last_also_under_bf16(speechlike):
    plain, fast = (model.base_model.feature_extractor.bfloat16() for model in both("pre_norm"))
    with torch.no_grad():
        exact = both("pre_norm")[0].base_model.feature_extractor(speechlike)
        errors = [(encoder(speechlike.bfloat16()).float() - exact).norm() for encoder in (fast, plain)]
    assert errors[0] < 1.1 * errors[1]


def test_torchs_kernels_come_back_and_nothing_else_changes(layout, speechlike):
    plain, fast = both(layout)
    assert fast.state_dict().keys() == plain.state_dict().keys()
    with torch.no_grad():
        expected = plain(speechlike).logits
        assert use_kernels(fast, "torch") == "torch"
        assert torch.equal(fast(speechlike).logits, expected)
    assert [type(module) for module in fast.modules()] == [type(module) for module in plain.modules()]


def test_the_same_work_is_counted(speechlike):
    counts = []
    for model in both("pre_norm"):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(speechlike)
        counts.append(counter.get_total_flops())
    assert counts[0] == counts[1] > 0


def test_by_default_only_layers_large_enough_to_gain_use_them():
    shape = {"hidden_size": 512, "intermediate_size": 512, "conv_dim": (16,) * 7, "classifier_proj_size": 64}
    model = ExHuBERTForSequenceClassification(ExHuBERTConfig(num_hidden_layers=2, num_attention_heads=8, **shape))
    assert use_kernels(model) == "onednn"
    layer = model.blocks[0].frozen.feed_forward.output_dense
    kinds = [type(module).__name__ for module in (layer, model.blocks[0].gate, model.projector)]
    assert kinds == ["OneDNNLinear", "OneDNNGate", "Linear"]


def test_a_pipeline_uses_the_kernels_it_is_told_to(tmp_path):
    folder = save(opened("pre_norm"), tmp_path / "model")
    names = {
        kernels: type(load_pipeline(folder, "cpu", kernels=kernels).model.projector).__name__
        for kernels in ("auto", "onednn", "torch")
    }
    assert names == {"auto": "Linear", "onednn": "OneDNNLinear", "torch": "Linear"}
    with pytest.raises(ValueError, match="kernels is 'mkl'; expected auto, onednn, torch"):
        load_pipeline(folder, kernels="mkl")
