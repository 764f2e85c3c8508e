"""Models load completely or not at all, and the message names the right way."""

import re

import pytest
import torch
from transformers import HubertForSequenceClassification, HubertModel

from exhubert import ExHuBERTForSequenceClassification, ExHuBERTModel
from exhubert.cli.main import main
from exhubert.configuration_exhubert import read_config
from exhubert.conversion.loading import default_feature_extractor, load_classifier, load_hubert, load_weights
from exhubert.evaluation.evaluate_model import evaluate_model
from exhubert.export.steps import export
from exhubert.training import ModelArguments, load_for_training

from ..conftest import PUBLISHED, save, tiny_config, tiny_hubert, write_tone


@pytest.fixture
def published():
    return ExHuBERTForSequenceClassification.from_published(PUBLISHED)


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


def test_classifiers_load_only_where_they_are_whole(layout, tmp_path):
    with pytest.raises(ValueError, match="published layout: convert it first"):
        load_classifier(PUBLISHED)
    tiny_hubert(layout, HubertModel).save_pretrained(tmp_path / "headless")
    with pytest.raises(ValueError, match="without a classification head"):
        load_classifier(tmp_path / "headless")
    tiny_hubert(layout).save_pretrained(tmp_path / "hubert")
    assert isinstance(load_classifier(tmp_path / "hubert"), HubertForSequenceClassification)


def wrong_models(root):
    """What people pass as a model, and what the sentence about it says."""
    hubert = tiny_hubert("pre_norm")
    hubert.save_pretrained(root / "hubert")
    files = {
        "zip/model.zip": ("the archive model.zip: unpack it", "PK"),
        "lora/adapter_config.json": ("an adapter .LoRA.*merge_and_unload", "{}"),
        "run/checkpoint-30/trainer_state.json": ("unfinished training run: finish it with `--resume true`", "{}"),
        "unpacked/my/model/v2/config.json": ("but .*v2 has one: pass that folder", "{}"),
        "hub/snapshots/1f3a/config.json": ("but .*1f3a has one: pass that folder", "{}"),
        "fairseq/hubert_base_ls960.pt": ("it holds hubert_base_ls960.pt: pass a folder written by save_pre", "x"),
        "list/config.json": ("isn't the configuration of a model: expected a JSON object", "[]"),
        "null/config.json": ("isn't the configuration of a model: expected a JSON object", "null"),
        "cut/config.json": ("isn't the configuration of a model: expected a JSON object", '{"model_type": "hub'),
        "other/config.json": (
            "of type 'wav2vec2'[;:] (expected an ExHuBERT or a HuBERT|extend a HuBERT)",
            '{"model_type": "wav2vec2", "architectures": ["Wav2Vec2Model"]}',
        ),
        "typeless/config.json": (
            "of type 'unknown'[;:] (expected an ExHuBERT or a HuBERT|extend a HuBERT)",
            '{"hidden_size": 8}',
        ),
    }
    for name, (message, content) in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
        yield root / name.split("/")[0], message
    (root / "run" / "checkpoint-30" / "optimizer.pt").touch()
    yield root / "run" / "checkpoint-30", "a checkpoint of a training run.*pass the run's folder, .*run, "
    (root / "empty").mkdir()
    yield root / "empty", "it is empty: pass the folder"
    yield root / "zip" / "model.zip", "an archive: unpack it"
    yield root / "fairseq" / "hubert_base_ls960.pt", "a file of weights without a config.json, such as those of fairseq"
    yield root / "hubert" / "model.safetensors", "one file of a model: pass its folder, .*hubert"
    yield root / "hubert" / "config.json", "one file of a model: pass its folder, .*hubert"


def test_what_is_no_model_is_a_sentence_wherever_a_model_is_given(tone_dataset, tmp_path, capsys):
    sound = write_tone(tmp_path / "a.wav")
    training = [
        lambda model, method=method: load_for_training(ModelArguments(model=model, method=method), ["a", "b"])
        for method in ("exhubert", "hubert")
    ]
    loaders = [
        load_classifier,
        load_hubert,
        ExHuBERTForSequenceClassification.from_hubert,
        ExHuBERTForSequenceClassification.from_pretrained,
        lambda model: evaluate_model(model, tone_dataset),
        *training,
    ]
    for model, message in wrong_models(tmp_path):
        for load in loaders:
            with pytest.raises((ValueError, OSError)) as raised:
                load(str(model))
            assert re.search(message, str(raised.value)), (load, raised.value)
        for command in (["predict", str(sound), "--model"], ["info"], ["export"]):
            output = [str(tmp_path / "out")] if command == ["export"] else []
            assert main([*command, str(model), *output]) == 1
            printed = capsys.readouterr().err
            assert re.search(f"exhubert: .*{message}", printed.splitlines()[-1]), (command, printed)


def test_a_checkpoint_of_another_trainer_that_holds_the_whole_model_is_a_model(tmp_path):
    folder = tmp_path / "checkpoint-500"
    tiny_hubert("pre_norm").save_pretrained(folder)
    for name in ("optimizer.pt", "trainer_state.json", "rng_state.pth"):
        (folder / name).touch()
    assert isinstance(load_classifier(folder), HubertForSequenceClassification)


@pytest.mark.parametrize("method", ["exhubert", "hubert"])
def test_a_checkpoint_to_which_a_configuration_was_copied_is_refused_as_what_it_is(method, tmp_path):
    folder = tmp_path / "checkpoint-500"
    model = tiny_hubert("pre_norm")
    model = ExHuBERTForSequenceClassification.from_hubert(model) if method == "exhubert" else model
    trained = {key: value for key, value in model.state_dict().items() if "feature_extractor" not in key}
    model.save_pretrained(folder, state_dict=trained)
    for name in ("optimizer.pt", "trainer_state.json"):
        (folder / name).touch()
    for load in (
        load_classifier,
        lambda folder: load_for_training(ModelArguments(model=str(folder), method=method), ["calm", "angry", "glad"]),
    ):
        with pytest.raises(RuntimeError, match="not .*a complete .*; it is a checkpoint .*pass the run's folder"):
            load(folder)


def test_an_exported_model_cannot_be_trained_or_extended(tmp_path):
    model = ExHuBERTForSequenceClassification.from_hubert(tiny_hubert("pre_norm"))
    export(save(model, tmp_path / "model"), tmp_path / "onnx")
    for load in (
        lambda folder: load_for_training(ModelArguments(model=str(folder)), ["calm", "angry", "glad"]),
        lambda folder: load_weights(ExHuBERTForSequenceClassification, folder, read_config(folder), torch.float32),
    ):
        with pytest.raises(OSError, match="exported for onnxruntime: give the folder it was exported from"):
            load(tmp_path / "onnx")
