"""The identity report sees every difference between an ExHuBERT and its HuBERT, and no other."""

import pytest
import torch
from transformers import HubertModel

from exhubert import ExHuBERTForSequenceClassification, identity_report

from ..conftest import tiny_hubert


def test_a_new_head_for_as_many_other_classes_is_no_difference(layout, speechlike):
    hubert = tiny_hubert(layout)
    model = ExHuBERTForSequenceClassification.from_hubert(hubert, labels=["a", "b", "c"])
    assert identity_report(model, hubert, speechlike).identical


def test_identity_report_sees_a_head_that_differs(speechlike):
    hubert = tiny_hubert("pre_norm")
    model = ExHuBERTForSequenceClassification.from_hubert(hubert)
    with torch.no_grad():
        model.classifier.bias[0] += 1.0
    report = identity_report(model, hubert, {"input_values": speechlike})
    assert report.hidden_states == 0.0 and not report.identical


def test_identity_report_sees_an_open_gate_and_a_changed_weight(layout, speechlike):
    hubert = tiny_hubert(layout)
    model = ExHuBERTForSequenceClassification.from_hubert(hubert)
    with torch.no_grad():
        model.blocks[1].gate.bias[3] = 1e-3
    assert not identity_report(model, hubert, {"input_values": speechlike}).identical
    model = ExHuBERTForSequenceClassification.from_hubert(hubert)
    with torch.no_grad():
        model.blocks[0].frozen.attention.v_proj.weight[0, 0] += 0.01
    assert identity_report(model, hubert, {"input_values": speechlike}).hidden_states > 0


@pytest.mark.parametrize("ties", [None, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(
    ("labels", "fields", "kept"),
    [
        (None, {}, True),
        (["a", "b"], {}, False),
        (["a", "b", "c"], {}, False),
        (None, {"classifier_proj_size": 8}, False),
        (None, {"use_weighted_layer_sum": False}, False),
    ],
)
def test_a_hubert_with_a_weighted_layer_sum_is_identical_with_any_head(
    layout, ties, masked, labels, fields, kept, speechlike
):
    hubert = tiny_hubert(layout, use_weighted_layer_sum=True, tie_last_hidden_states=ties)
    with torch.no_grad():
        hubert.layer_weights.copy_(torch.tensor([0.5, -1.0, 2.0, 0.3]))
    model = ExHuBERTForSequenceClassification.from_hubert(hubert, labels, **fields)
    batch = {"input_values": speechlike}
    if masked:
        batch["attention_mask"] = torch.ones_like(speechlike, dtype=torch.long)
        batch["attention_mask"][1, 5000:] = 0
    report = identity_report(model, hubert, batch)
    assert report.identical and report.hidden_states == 0.0
    assert kept or report.logits == 0.0, "a new head is compared bit for bit"
    assert hubert.config.tie_last_hidden_states is ties
    with torch.no_grad():
        model.blocks[0].frozen.attention.v_proj.weight[0, 0] += 0.01
    report = identity_report(model, hubert, batch)
    assert not report.identical and report.logits > 0.0


def test_a_weighted_layer_sum_for_a_hubert_without_one_is_compared_too(layout, speechlike):
    for hubert in (tiny_hubert(layout), tiny_hubert(layout, HubertModel)):
        model = ExHuBERTForSequenceClassification.from_hubert(hubert, use_weighted_layer_sum=True)
        report = identity_report(model, hubert, speechlike)
        assert report.identical and report.logits == 0.0


def test_rounding_of_large_states_in_a_weighted_layer_sum_is_no_difference(speechlike):
    hubert = tiny_hubert("pre_norm", use_weighted_layer_sum=True, num_hidden_layers=12)
    with torch.no_grad():
        for layer in hubert.hubert.encoder.layers:
            layer.feed_forward.output_dense.weight.mul_(2000.0)
        hubert.projector.weight.mul_(20.0)
        hubert.classifier.weight.mul_(3.0)
        hubert.layer_weights.normal_(generator=torch.Generator().manual_seed(0))
    model = ExHuBERTForSequenceClassification.from_hubert(hubert)
    report = identity_report(model, hubert, speechlike)
    assert report.logits > 1e-6 and report.identical
    with torch.no_grad():
        model.layer_weights[3] += 0.01
    assert not identity_report(model, hubert, speechlike).identical
