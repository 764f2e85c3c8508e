"""ExHuBERTConfig: pairs of layers, six classes, misspelt keys."""

import pytest
from huggingface_hub.errors import StrictDataclassClassValidationError
from transformers import AutoConfig

from exhubert import SIX_CLASSES, ExHuBERTConfig


def test_default_classes_are_the_published_six_in_logit_order():
    config = ExHuBERTConfig()
    assert [config.id2label[index] for index in range(6)] == list(SIX_CLASSES)
    assert config.label2id["high_negative"] == 3


def test_other_numbers_of_classes_are_allowed():
    assert ExHuBERTConfig(num_labels=4).num_labels == 4
    assert ExHuBERTConfig(id2label={0: "no", 1: "yes"}).id2label == {0: "no", 1: "yes"}


@pytest.mark.parametrize("layers", [0, 7, -2])
def test_layers_that_do_not_pair_up_are_refused_with_a_sentence(layers):
    with pytest.raises(StrictDataclassClassValidationError, match=f"is {layers}, but .* even number"):
        ExHuBERTConfig(num_hidden_layers=layers)


def test_misspelt_key_names_the_one_that_was_meant():
    with pytest.raises(ValueError, match="no key `frozen_gates`; did you mean `frozen_gate`"):
        ExHuBERTConfig(frozen_gates=True)


def test_save_and_auto_load_give_the_same_configuration(tmp_path):
    config = ExHuBERTConfig(num_hidden_layers=8, frozen_gate=[1, 3], base_checkpoint="facebook/hubert-base-ls960")
    config.save_pretrained(tmp_path)
    loaded = AutoConfig.from_pretrained(tmp_path)
    assert isinstance(loaded, ExHuBERTConfig)
    assert loaded.to_dict() | {"_name_or_path": ""} == config.to_dict()
    assert [loaded.has_frozen_gate(block) for block in range(loaded.num_blocks)] == [False, True, False, True]


@pytest.mark.parametrize("fields", [{"frozen_gate": [12]}, {"frozen_gate": [-1]}, {"layerdrop": 2.0}])
def test_values_out_of_range_are_refused(fields):
    with pytest.raises(StrictDataclassClassValidationError, match=f"`{next(iter(fields))}` is"):
        ExHuBERTConfig(**fields)
