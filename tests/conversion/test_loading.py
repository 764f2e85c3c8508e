"""Models load completely or not at all, and the message names the right way."""

import pytest
import torch
from transformers import HubertForSequenceClassification, HubertModel

from exhubert import ExHuBERTForSequenceClassification, ExHuBERTModel
from exhubert.conversion.loading import default_feature_extractor, load_classifier

from ..conftest import PUBLISHED, tiny_config, tiny_hubert


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
