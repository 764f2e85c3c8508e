"""The published layout is read completely and computes what the published code computes."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import Wav2Vec2FeatureExtractor

from exhubert import SIX_CLASSES, ExHuBERTForSequenceClassification
from exhubert.conversion.published import published_logits

from ..conftest import PUBLISHED

CASES = np.load(PUBLISHED / "io.npz")


CASE_NAMES = sorted({key.split("__")[0] for key in CASES.files})


@pytest.fixture
def published():
    return ExHuBERTForSequenceClassification.from_published(PUBLISHED)


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
