"""Extending a HuBERT and converting the published checkpoint: identity, completeness, and the published numbers."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import HubertForCTC, HubertForSequenceClassification, HubertModel, Wav2Vec2FeatureExtractor

from exhubert import SIX_CLASSES, ExHuBERTForSequenceClassification, ExHuBERTModel, identity_report
from exhubert.conversion.extension import default_feature_extractor, load_classifier
from exhubert.conversion.published import published_logits

from .conftest import PUBLISHED, tiny_config, tiny_hubert

CASES = np.load(PUBLISHED / "io.npz")
CASE_NAMES = sorted({key.split("__")[0] for key in CASES.files})


@pytest.fixture
def published():
    return ExHuBERTForSequenceClassification.from_published(PUBLISHED)


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


@pytest.mark.parametrize("labels", ["happy", 0, -1, [], ["a", "a"], [1, 2]])
def test_labels_that_name_no_classes_are_refused(labels):
    with pytest.raises(ValueError, match="labels is .*; expected different class names"):
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


def test_default_feature_extractor_gives_a_mask_to_layer_norm_models_only():
    assert default_feature_extractor(tiny_config("pre_norm")).return_attention_mask
    assert not default_feature_extractor(tiny_config("post_norm")).return_attention_mask


def test_incomplete_hubert_is_refused_by_name(layout, tmp_path):
    hubert = tiny_hubert(layout, HubertModel)
    state = {k: v for k, v in hubert.state_dict().items() if "layers.1.attention.k_proj" not in k}
    hubert.save_pretrained(tmp_path, state_dict=state)
    with pytest.raises(RuntimeError, match="layers.1.attention.k_proj"):
        ExHuBERTModel.from_hubert(tmp_path)


def test_wrong_sources_are_refused_with_the_right_way_named(layout, tmp_path):
    ExHuBERTForSequenceClassification.from_hubert(tiny_hubert(layout)).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="already is an ExHuBERT: load it with from_pretrained"):
        ExHuBERTModel.from_hubert(tmp_path)
    with pytest.raises(ValueError, match="published layout: load it with from_published"):
        ExHuBERTModel.from_hubert(PUBLISHED)
    with pytest.raises(ValueError, match="published ExHuBERT layout: load it with from_published"):
        ExHuBERTForSequenceClassification.from_pretrained(PUBLISHED)
    with pytest.raises(ValueError, match="not in the published ExHuBERT layout"):
        ExHuBERTForSequenceClassification.from_published(tmp_path)
    with pytest.raises(ValueError, match="not a Linear"):
        ExHuBERTModel.from_hubert(torch.nn.Linear(2, 2))


@pytest.mark.parametrize("load", [ExHuBERTModel.from_hubert, ExHuBERTModel.from_published], ids=["hubert", "published"])
def test_unreachable_hub_id_says_what_to_do(load):
    with pytest.raises(OSError, match="nobody/no-such-model.*without network, download the model elsewhere"):
        load("nobody/no-such-model")


@pytest.mark.parametrize("case", CASE_NAMES)
def test_published_outputs_are_matched(published, case):
    stored = {key.split("__")[1]: CASES[key] for key in CASES.files if key.split("__")[0] == case}
    if "input_values_of" in stored:  # stored once, with another case
        stored["input_values"] = CASES[f"{stored.pop('input_values_of')}__input_values"]
    arrays = {key: torch.tensor(value) for key, value in stored.items()}
    published.set_attn_implementation("eager" if "attentions" in arrays else "sdpa")
    with torch.no_grad():
        output = published(
            arrays["input_values"],
            attention_mask=arrays.get("attention_mask"),
            output_hidden_states=True,
            output_attentions="attentions" in arrays,
        )
    torch.testing.assert_close(output.logits, arrays["logits"], atol=2e-5, rtol=0)
    torch.testing.assert_close(output.hidden_states[-1], arrays["last_hidden_state"], atol=2e-4, rtol=0)
    if "hidden_states" in arrays:
        torch.testing.assert_close(torch.stack(output.hidden_states), arrays["hidden_states"], atol=2e-4, rtol=0)
    if "attentions" in arrays:
        torch.testing.assert_close(torch.stack(output.attentions), arrays["attentions"], atol=2e-5, rtol=0)


@pytest.mark.parametrize("masked", [False, True], ids=["nomask", "mask"])
def test_published_front_end_is_matched(published, masked):
    data = np.load(PUBLISHED / "frontend.npz")
    case = "mask" if masked else "nomask"
    extractor = Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=masked)
    raw = [data[f"raw_{index}"] for index in range(3)]
    batch = extractor(
        raw, sampling_rate=16_000, padding="max_length", max_length=48_000, truncation=True, return_tensors="pt"
    )
    np.testing.assert_allclose(batch["input_values"], data[f"{case}__input_values"], atol=1e-6, rtol=0)
    with torch.no_grad():
        logits = published(**batch).logits
    np.testing.assert_allclose(logits, data[f"{case}__logits"], atol=2e-5, rtol=0)


@pytest.mark.parametrize("run", ["nomask", "mask"])
def test_published_training_is_matched(run):
    reference = json.loads((PUBLISHED / "train_ref.json").read_text())
    expected = reference["runs"][run]
    data = {key: torch.tensor(value) for key, value in np.load(PUBLISHED / "train_data.npz").items()}
    model = ExHuBERTForSequenceClassification.from_published(PUBLISHED)
    for name, value in reference["config_overrides"].items():
        setattr(model.config, name, value)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        if hasattr(module, "dropout") and isinstance(module.dropout, float):
            module.dropout = 0.0
    model.freeze_og_encoder()
    model.freeze_feature_encoder()
    trainable = [p for p in model.parameters() if p.requires_grad]
    assert sum(p.numel() for p in trainable) == expected["n_trainable"]
    assert len(trainable) == len(expected["trainable"])
    optimizer = torch.optim.AdamW(trainable, lr=1e-3, weight_decay=0.01, betas=(0.9, 0.999), eps=1e-8)
    mask = data["attention_mask"] if run == "mask" else None
    losses = []
    model.train()
    for _ in range(5):
        loss = model(data["input_values"], attention_mask=mask, labels=data["labels"]).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    with torch.no_grad():
        losses.append(model(data["input_values"], attention_mask=mask, labels=data["labels"]).loss.item())
    np.testing.assert_allclose(losses, [*expected["losses"], expected["loss_after_5"]], atol=1e-5, rtol=0)
    for name, norm in expected["gate_norms"].items():
        index, what = int(name.split(".")[3]), name.split(".")[-1]
        gate = getattr(model.blocks[index // 2], "gate" if index % 2 else "frozen_gate")
        assert getattr(gate, what).norm().item() == pytest.approx(norm, abs=1e-5)


def test_published_layout_is_converted_whole_and_honestly(published, tmp_path):
    config = published.config
    assert list(config.id2label.values()) == list(SIX_CLASSES)
    assert config.frozen_gate is True and config.num_hidden_layers == 8
    assert config.base_checkpoint == "facebook/hubert-large-ls960-ft"
    assert config.license == "cc-by-nc-sa-4.0"
    published.save_pretrained(tmp_path)
    loaded = ExHuBERTForSequenceClassification.from_pretrained(tmp_path)
    signal = torch.tensor(CASES["nomask_3s__input_values"])
    for name, weight in published.state_dict().items():
        assert torch.equal(weight, loaded.state_dict()[name]), name
    with torch.no_grad():
        torch.testing.assert_close(loaded(signal).logits, published(signal).logits, atol=1e-6, rtol=0)
    assert all(not p.requires_grad for block in loaded.blocks for p in block.frozen_gate.parameters())


def test_stock_layers_with_hooked_gates_are_an_independent_witness():
    for case in ("nomask_3s", "batch_mask"):
        mask = torch.tensor(CASES[f"{case}__attention_mask"]) if f"{case}__attention_mask" in CASES.files else None
        logits = published_logits(PUBLISHED, torch.tensor(CASES[f"{case}__input_values"]), mask)
        torch.testing.assert_close(logits, torch.tensor(CASES[f"{case}__logits"]), atol=2e-5, rtol=0)


def published_copy(folder, change):
    """The fixture with its state changed, as safetensors, to try other layouts of the same kind."""
    shutil.copy(PUBLISHED / "config.json", folder / "config.json")
    state = torch.load(PUBLISHED / "pytorch_model.bin", weights_only=True)
    change(state)
    save_file({key: value.contiguous() for key, value in state.items()}, folder / "model.safetensors")
    return folder


def test_identity_frozen_gates_are_dropped_on_request_and_change_nothing(tmp_path):
    def two_identities(state):
        for layer in (0, 4):
            state[f"hubert.encoder.layers.{layer}.gate_bb_linear.weight"] = torch.eye(32)
            state[f"hubert.encoder.layers.{layer}.gate_bb_linear.bias"] = torch.zeros(32)

    folder = published_copy(tmp_path, two_identities)
    kept = ExHuBERTForSequenceClassification.from_published(folder)
    dropped = ExHuBERTForSequenceClassification.from_published(folder, drop_identity_gates=True)
    assert kept.config.frozen_gate is True and dropped.config.frozen_gate == [1, 3]
    signal = torch.tensor(CASES["nomask_3s__input_values"])
    with torch.no_grad():
        torch.testing.assert_close(kept(signal).logits, dropped(signal).logits, atol=1e-6, rtol=0)
    dropped.save_pretrained(tmp_path / "saved")
    loaded = ExHuBERTForSequenceClassification.from_pretrained(tmp_path / "saved")
    assert loaded.blocks[0].frozen_gate is None and loaded.blocks[1].frozen_gate is not None


@pytest.mark.parametrize("kept", ["first gates", "none"])
def test_published_checkpoint_with_a_frozen_gate_missing_is_refused(tmp_path, kept):
    def without(state):
        for layer in (4,) if kept == "first gates" else (0, 2, 4, 6):
            del state[f"hubert.encoder.layers.{layer}.gate_bb_linear.weight"]
            del state[f"hubert.encoder.layers.{layer}.gate_bb_linear.bias"]

    folder = published_copy(tmp_path, without)
    with pytest.raises(RuntimeError, match="is not complete: every layer .*4"):
        ExHuBERTForSequenceClassification.from_published(folder)


def test_a_frozen_gate_with_a_bias_is_no_identity(tmp_path):
    def nearly(state):
        state["hubert.encoder.layers.0.gate_bb_linear.weight"] = torch.eye(32)

    model = ExHuBERTForSequenceClassification.from_published(published_copy(tmp_path, nearly), drop_identity_gates=True)
    assert model.config.frozen_gate is True


def test_published_checkpoints_vary_in_names_shards_vector_and_prefix(tmp_path, published):
    shutil.copy(PUBLISHED / "config.json", tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config |= {"id2label": {"1": "b", "0": "a", "5": "f", "2": "c", "4": "e", "3": "d"}, "mask_time_prob": 0.0}
    (tmp_path / "config.json").write_text(json.dumps(config))
    state = torch.load(PUBLISHED / "pytorch_model.bin", weights_only=True)
    names = sorted(state)
    shards = {"one.bin": names[::2], "two.bin": names[1::2]}
    for shard, keys in shards.items():
        torch.save({f"module.{key}": state[key] for key in keys}, tmp_path / shard)
    index = {"weight_map": {f"module.{key}": shard for shard, keys in shards.items() for key in keys}}
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    model = ExHuBERTForSequenceClassification.from_published(tmp_path)
    assert list(model.config.id2label.values()) == list("abcdef")
    assert not hasattr(model.hubert, "masked_spec_embed")
    signal = torch.tensor(CASES["nomask_3s__input_values"])
    with torch.no_grad():
        torch.testing.assert_close(model(signal).logits, published(signal).logits, atol=1e-6, rtol=0)


def test_published_weights_that_share_memory_get_their_own(tmp_path):
    state = torch.load(PUBLISHED / "pytorch_model.bin", weights_only=True)
    for key in [key for key in state if ".layers.0." in key]:
        state[key.replace(".layers.0.", ".layers.1.")] = state[key]
    shutil.copy(PUBLISHED / "config.json", tmp_path)
    torch.save(state, tmp_path / "pytorch_model.bin")
    block = ExHuBERTForSequenceClassification.from_published(tmp_path).blocks[0]
    with torch.no_grad():
        block.adapted.attention.k_proj.weight.add_(1.0)
    assert not torch.equal(block.adapted.attention.k_proj.weight, block.frozen.attention.k_proj.weight)


def test_classifiers_load_only_where_they_are_whole(layout, tmp_path):
    with pytest.raises(ValueError, match="published layout: convert it first"):
        load_classifier(PUBLISHED)
    tiny_hubert(layout, HubertModel).save_pretrained(tmp_path / "headless")
    with pytest.raises(ValueError, match="without a classification head"):
        load_classifier(tmp_path / "headless")
    tiny_hubert(layout).save_pretrained(tmp_path / "hubert")
    assert isinstance(load_classifier(tmp_path / "hubert"), HubertForSequenceClassification)


def test_published_checkpoint_with_a_weight_missing_is_refused(tmp_path):
    folder = published_copy(tmp_path, lambda state: state.pop("hubert.encoder.layers.3.attention.q_proj.bias"))
    with pytest.raises(RuntimeError, match="layers.1.adapted.attention.q_proj.bias"):
        ExHuBERTForSequenceClassification.from_published(folder)


def test_pickle_with_code_is_not_executed(tmp_path):
    class Payload:
        def __reduce__(self):
            return (open, (str(tmp_path / "executed"), "w"))

    shutil.copy(PUBLISHED / "config.json", tmp_path)
    torch.save({"x": Payload()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(OSError, match="nothing else is unpickled"):
        ExHuBERTForSequenceClassification.from_published(tmp_path)
    assert not (tmp_path / "executed").exists()
