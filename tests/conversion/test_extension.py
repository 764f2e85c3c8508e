"""Extending a HuBERT and converting the published checkpoint: identity, completeness, and the published numbers."""

import numpy as np
import pytest
import torch
from transformers import HubertForCTC, HubertForSequenceClassification, HubertModel

from exhubert import SIX_CLASSES, ExHuBERTForSequenceClassification, ExHuBERTModel, identity_report

from ..conftest import tiny_hubert


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("masked", [False, True], ids=["unmasked", "masked"])
def test_step_zero_equals_hubert_bit_for_bit(layout, attention, masked, speechlike):
    hubert = tiny_hubert(layout)
    model = ExHuBERTForSequenceClassification.from_hubert(hubert)
    hubert.set_attn_implementation(attention)
    model.set_attn_implementation(attention)
    batch = {"input_values": speechlike}
    if masked:
        batch["attention_mask"] = (torch.arange(8000) < torch.tensor([[8000], [5000]])).long()
    report = identity_report(model.train(), hubert, batch)
    assert report.identical and report.hidden_states == 0.0 and report.logits == 0.0
    assert model.training, "the report puts the mode back"
    assert identity_report(model, hubert, batch["input_values"]).identical
    with torch.no_grad():
        assert torch.equal(model.eval()(**batch).logits, hubert(**batch).logits)


def test_step_zero_identity_survives_saving_and_loading_both(layout, speechlike, tmp_path):
    hubert = tiny_hubert(layout)
    hubert.save_pretrained(tmp_path / "hubert")
    ExHuBERTForSequenceClassification.from_hubert(tmp_path / "hubert").save_pretrained(tmp_path / "extended")
    model = ExHuBERTForSequenceClassification.from_pretrained(tmp_path / "extended")
    hubert = HubertForSequenceClassification.from_pretrained(tmp_path / "hubert")
    assert identity_report(model, hubert, {"input_values": speechlike}).identical


def test_both_copies_hold_the_layers_weights_and_share_no_memory(layout):
    hubert = tiny_hubert(layout, HubertModel)
    model = ExHuBERTModel.from_hubert(hubert)
    for layer, block in zip(hubert.encoder.layers, model.blocks, strict=True):
        for name, weight in layer.state_dict().items():
            frozen, adapted = block.frozen.state_dict()[name], block.adapted.state_dict()[name]
            assert torch.equal(weight, frozen) and torch.equal(weight, adapted)
            assert len({weight.data_ptr(), frozen.data_ptr(), adapted.data_ptr()}) == 3


@pytest.mark.parametrize("model_class", [HubertModel, HubertForCTC, HubertForSequenceClassification])
def test_every_kind_of_hubert_checkpoint_extends_from_its_folder(layout, model_class, speechlike, tmp_path):
    hubert = tiny_hubert(layout, model_class)
    hubert.save_pretrained(tmp_path)
    for target in (ExHuBERTModel, ExHuBERTForSequenceClassification):
        model = target.from_hubert(tmp_path)
        assert identity_report(model, hubert, {"input_values": speechlike}).identical
        assert model.config.base_checkpoint == str(tmp_path)
    has_head = model_class is HubertForSequenceClassification
    expected = ["calm", "angry", "glad"] if has_head else list(SIX_CLASSES)
    assert list(model.config.id2label.values()) == expected


def test_head_is_kept_for_the_same_labels_and_drawn_for_others(layout):
    hubert = tiny_hubert(layout)
    same = ExHuBERTForSequenceClassification.from_hubert(hubert, labels=["calm", "angry", "glad"])
    assert torch.equal(same.classifier.weight, hubert.classifier.weight)
    other = ExHuBERTForSequenceClassification.from_hubert(hubert, labels=SIX_CLASSES)
    assert other.classifier.out_features == 6


def test_weighted_layer_sum_head_gives_the_same_logits(layout, speechlike):
    hubert = tiny_hubert(layout, use_weighted_layer_sum=True)
    model = ExHuBERTForSequenceClassification.from_hubert(hubert)
    assert torch.equal(model.classifier.weight, hubert.classifier.weight)
    with torch.no_grad():
        torch.testing.assert_close(model(speechlike).logits, hubert(speechlike).logits, atol=1e-6, rtol=1e-5)
    assert identity_report(model, hubert, {"input_values": speechlike}).identical


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_extension_keeps_dtype_attention_and_the_source_as_it_was(layout, dtype, speechlike):
    hubert = tiny_hubert(layout).to(dtype)
    hubert.set_attn_implementation("eager")
    before = {name: weight.clone() for name, weight in hubert.state_dict().items()}
    model = ExHuBERTForSequenceClassification.from_hubert(hubert)
    assert model.dtype == dtype and model.config._attn_implementation == "eager"
    assert identity_report(model, hubert, {"input_values": speechlike.to(dtype)}).identical
    assert all(torch.equal(weight, before[name]) for name, weight in hubert.state_dict().items())


def test_class_names_follow_their_index_whatever_the_order_in_the_configuration():
    hubert = tiny_hubert("pre_norm", id2label={2: "c", 0: "a", 1: "b"})
    model = ExHuBERTForSequenceClassification.from_hubert(hubert)
    assert [model.config.id2label[index] for index in range(3)] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({1: "b", 0: "a"}, ["a", "b"]),
        (("a", "b"), ["a", "b"]),
        (2, ["LABEL_0", "LABEL_1"]),
        (np.int64(3), ["calm", "angry", "glad"]),
    ],
)
def test_labels_may_be_names_a_map_or_a_number(labels, expected):
    model = ExHuBERTForSequenceClassification.from_hubert(tiny_hubert("pre_norm"), labels=labels)
    assert list(model.config.id2label.values()) == expected
    assert model.config.label2id == {name: index for index, name in enumerate(expected)}


@pytest.mark.parametrize(
    "labels",
    [
        "happy",
        0,
        -1,
        True,
        2.0,
        [],
        {},
        ["a", "a"],
        ["a", " "],
        [1, 2],
        {"a": 0},
        {0: "a", 2: "b"},
        {0: 1, 1: 2},
        {"a", "b"},
    ],
)
def test_labels_that_name_no_classes_are_refused(labels):
    with pytest.raises(ValueError, match="labels is .*; expected distinct class names"):
        ExHuBERTForSequenceClassification.from_hubert(tiny_hubert("pre_norm"), labels=labels)


@pytest.mark.parametrize("field", ["label", "num_labels", "do_stable_layer_norm", "hidden_size"])
def test_fields_that_would_change_the_hubert_are_refused(field):
    with pytest.raises(ValueError, match=f"can't set {field}: the extended model must compute"):
        ExHuBERTForSequenceClassification.from_hubert(tiny_hubert("pre_norm"), **{field: 3})


def test_a_head_of_another_form_is_drawn_anew():
    hubert = tiny_hubert("pre_norm", problem_type="multi_label_classification")
    kept = ExHuBERTForSequenceClassification.from_hubert(hubert)
    drawn = ExHuBERTForSequenceClassification.from_hubert(hubert, classifier_proj_size=8)
    assert kept.config.problem_type == "multi_label_classification"
    assert drawn.projector.out_features == 8 and drawn.config.problem_type is None


def test_adapters_of_the_source_are_in_both_copies(speechlike):
    hubert = tiny_hubert("pre_norm", HubertModel, adapter_attn_dim=4)
    model = ExHuBERTModel.from_hubert(hubert)
    assert identity_report(model, hubert, {"input_values": speechlike}).identical
    assert model.blocks[0].adapted.adapter_layer is not None
