"""The identity report sees every difference between an ExHuBERT and its HuBERT, and no other."""

import torch

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
