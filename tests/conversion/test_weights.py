"""Weights are computed in fp32 whatever they are stored in; weights that can't be read are refused in a sentence."""

import json
import logging
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForAudioClassification, HubertForSequenceClassification, HubertModel, pipeline

from exhubert import ExHuBERTForSequenceClassification, default_feature_extractor
from exhubert.cli.main import main
from exhubert.conversion.loading import load_classifier, load_hubert
from exhubert.inference import load_pipeline, predict
from exhubert.training import ModelArguments, load_for_training

from ..conftest import PUBLISHED, evaluate, load_recipe, opened, save, tiny_hubert, untrained, write_tone

LABELS = ["calm", "angry", "glad"]


def stored_in(folder, dtype, change=None):
    """Rewrites the weights of a folder in another dtype, or each as `change` says."""
    state = load_file(folder / "model.safetensors")
    state = {key: value.to(change(key) if change else dtype) for key, value in state.items()}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"dtype": str(dtype).removeprefix("torch.")}))
    return folder


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_models_stored_in_another_precision_compute_in_fp32_and_say_so_once(layout, dtype, tmp_path, caplog):
    hubert = tiny_hubert(layout)
    hubert.to(dtype).save_pretrained(tmp_path / "hubert")
    opened(layout).to(dtype).save_pretrained(tmp_path / "exhubert")
    with caplog.at_level(logging.WARNING):
        models = [load(tmp_path / "hubert") for load in (load_hubert, load_classifier)]
    notices = [record.message for record in caplog.records if "is stored in" in record.message]
    name = str(dtype).removeprefix("torch.")
    assert notices == [f"{tmp_path / 'hubert'} is stored in {name}; it is loaded in float32."]
    for model in models:
        for key, value in hubert.state_dict().items():
            assert torch.equal(model.state_dict()[key], value.float()), key
    models += [
        load_classifier(tmp_path / "exhubert"),
        ExHuBERTForSequenceClassification.from_hubert(tmp_path / "hubert"),
        load_for_training(ModelArguments(model=str(tmp_path / "hubert")), LABELS)[0],
        load_for_training(ModelArguments(model=str(tmp_path / "hubert"), method="hubert"), LABELS)[0],
        load_for_training(ModelArguments(model=str(tmp_path / "exhubert")), LABELS)[0],
    ]
    assert {parameter.dtype for model in models for parameter in model.parameters()} == {torch.float32}
    models[-1].save_pretrained(tmp_path / "again")
    assert {value.dtype for value in load_file(tmp_path / "again" / "model.safetensors").values()} == {torch.float32}
    assert load_classifier(tmp_path / "exhubert", dtype=torch.bfloat16).dtype == torch.bfloat16, "asked for"


def test_every_command_reads_a_model_stored_in_half_precision(tone_dataset, tmp_path, capsys):
    model = untrained(tmp_path / "model", 0)
    stored_in(model, torch.float16)
    recording = write_tone(tmp_path / "a.wav")
    assert evaluate(model, tone_dataset, tmp_path / "evaluation", "--partition", "validation")["overall"]["utterances"]
    for dtype in ("float32", "bfloat16"):
        assert main(["predict", str(recording), "--model", str(model), "--dtype", dtype]) == 0
    assert main(["info", str(model)]) == 0
    assert main(["export", str(model), str(tmp_path / "onnx")]) == 0
    assert main(["predict", str(recording), "--model", str(tmp_path / "onnx")]) == 0
    tiny_hubert("pre_norm", HubertModel).half().save_pretrained(tmp_path / "hubert")
    load_recipe("extend").main([str(tmp_path / "hubert"), str(tmp_path / "extended")])
    assert "difference to the HuBERT: 0 in hidden states, 0 in logits" in capsys.readouterr().out
    assert load_file(tmp_path / "extended" / "model.safetensors")["classifier.weight"].dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_published_weights_in_half_precision_are_converted_to_fp32(dtype, tmp_path):
    state = torch.load(PUBLISHED / "pytorch_model.bin", weights_only=True)
    (tmp_path / "source").mkdir()
    shutil.copy(PUBLISHED / "config.json", tmp_path / "source")
    torch.save({key: value.to(dtype) for key, value in state.items()}, tmp_path / "source" / "pytorch_model.bin")
    load_recipe("convert").main([str(tmp_path / "source"), str(tmp_path / "target")])
    assert {value.dtype for value in load_file(tmp_path / "target" / "model.safetensors").values()} == {torch.float32}


def test_mixed_sharded_and_pickled_weights_and_a_wrong_dtype_in_the_configuration_are_read(tmp_path, speechlike):
    model = opened("pre_norm")
    expected = {key: value.half().float() for key, value in model.state_dict().items()}
    model.load_state_dict(expected)
    folders = [tmp_path / name for name in ("mixed", "sharded", "pickled")]
    model.save_pretrained(folders[0])
    stored_in(folders[0], torch.float16, lambda key: torch.float16 if "frozen" in key else torch.float32)
    model.half().save_pretrained(folders[1], max_shard_size="50KB")
    assert (folders[1] / "model.safetensors.index.json").is_file()
    model.save_pretrained(folders[2])
    torch.save(load_file(folders[2] / "model.safetensors"), folders[2] / "pytorch_model.bin")
    (folders[2] / "model.safetensors").unlink()
    for folder in folders:
        state = load_classifier(folder).state_dict()
        assert all(torch.equal(state[key], value) for key, value in expected.items()), folder


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_pipelines_and_models_that_transformers_loads_in_half_precision_take_fp32_audio(dtype, tmp_path, speechlike):
    folder = save(opened("pre_norm"), tmp_path / "model")
    expected = predict(load_pipeline(folder), write_tone(tmp_path / "a.wav")).scores
    stored_in(folder, dtype)
    classifier = pipeline("audio-classification", model=str(folder))
    assert classifier.model.dtype == dtype
    scores = {item["label"]: item["score"] for item in classifier(str(tmp_path / "a.wav"))}
    assert scores == pytest.approx(expected, abs=0.02)
    model = AutoModelForAudioClassification.from_pretrained(folder)
    assert model(speechlike).logits.dtype == dtype
    plain = tiny_hubert("pre_norm")
    default_feature_extractor(plain.config).save_pretrained(tmp_path / "plain")
    plain.to(dtype).save_pretrained(tmp_path / "plain")
    assert predict(load_pipeline(tmp_path / "plain"), tmp_path / "a.wav").label in LABELS
    assert isinstance(load_classifier(tmp_path / "plain"), HubertForSequenceClassification)


def test_quantised_weights_are_refused(tmp_path):
    folder = save(opened("pre_norm"), tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    quantised = {"quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True}}
    (folder / "config.json").write_text(json.dumps(config | quantised))
    with pytest.raises(ValueError, match=r"quantised weights \(bitsandbytes\).*give the model it was quantised from"):
        load_classifier(folder)
    (folder / "config.json").write_text(json.dumps(config))
    stored_in(folder, torch.float32, lambda key: torch.int8 if "q_proj.weight" in key else torch.float32)
    with pytest.raises(ValueError, match="quantised weights"):
        load_classifier(folder)


def damage(folder, what):
    weights = folder / "model.safetensors"
    if what == "cut":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif what == "empty":
        weights.write_bytes(b"")
    elif what == "LFS":
        weights.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 1\n")
    elif what == "shard":
        index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
        weights.rename(folder / "model-00001-of-00002.safetensors")
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    elif what == "index":
        weights.unlink()
        (folder / "model.safetensors.index.json").write_text("[]")
    elif what == "nested":
        torch.save({"state_dict": load_file(weights)}, folder / "pytorch_model.bin")
        weights.unlink()
    elif what == "none":
        weights.unlink()
    elif what == "onnx":
        weights.rename(folder / "model.onnx")
    elif what == "tensorflow":
        weights.rename(folder / "tf_model.h5")


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("cut", "model.safetensors is damaged or its download is incomplete"),
        ("empty", "model.safetensors is damaged or its download is incomplete"),
        ("LFS", "a pointer of Git LFS, not the weights: fetch them with `git lfs pull`"),
        ("shard", "lacks model-00002-of-00002.safetensors, which model.safetensors.index.json lists"),
        ("index", "model.safetensors.index.json isn't an index of weights"),
        ("nested", "pytorch_model.bin can't be read as a plain dictionary of tensors"),
        ("none", "has no weights .*; it holds config.json"),
        ("onnx", "a model exported for onnxruntime: give the folder it was exported from"),
        ("tensorflow", "it holds tf_model.h5, but only weights of PyTorch can be read"),
    ],
)
def test_weights_that_are_missing_or_damaged_are_named(what, message, tmp_path):
    tiny_hubert("pre_norm").save_pretrained(tmp_path)
    damage(tmp_path, what)
    for load in (
        load_hubert,
        lambda folder: load_for_training(ModelArguments(model=str(folder)), LABELS),
        lambda folder: load_for_training(ModelArguments(model=str(folder), method="hubert"), LABELS),
    ):
        with pytest.raises(OSError, match=message):
            load(tmp_path)
