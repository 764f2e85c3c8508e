"""transformers' own common tests on ExHuBERT, in both of HuBERT's layouts.

Their files are not part of this repository: `run.py` fetches them and puts them on the path as `transformers_tests`.
"""

import unittest
from unittest import mock

from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.models.auto.modeling_auto import MODEL_MAPPING_NAMES
from transformers_tests import test_modeling_common
from transformers_tests.test_configuration_common import ConfigTester
from transformers_tests.test_modeling_common import ModelTesterMixin, floats_tensor

from exhubert import ExHuBERTConfig, ExHuBERTForSequenceClassification, ExHuBERTModel
from exhubert.modeling_exhubert import ExHuBERTGate, ExHuBERTPreTrainedModel

# by this table the common tests know a model without a loss
MODEL_MAPPING_NAMES["exhubert"] = ExHuBERTModel.__name__
# the common one sets the epsilon under every name an architecture has for it, and ours refuses misspelt keys
test_modeling_common.set_config_for_less_flaky_test = lambda config: setattr(config, "layer_norm_eps", 1.0)

WHOLE_BLOCK = "a block is checkpointed as a whole: were its copies marked too, they would be recomputed twice"
_closed_gates = ExHuBERTPreTrainedModel._init_weights


def _open_gates(model, module):
    _closed_gates(model, module)
    if isinstance(module, ExHuBERTGate):
        init.normal_(module.weight, std=model.config.initializer_range)


class ExHuBERTModelTester:
    """Tiny models of two blocks, and batches of 1024 samples, which make 14 frames."""

    batch_size = 13
    seq_length = 1024
    encoder_seq_length = 14
    hidden_size = 16
    num_hidden_layers = 4
    num_attention_heads = 2
    is_training = True

    def __init__(self, layout):
        self.fields = dict(layout)

    def get_config(self):
        return ExHuBERTConfig(
            hidden_size=self.hidden_size,
            num_hidden_layers=self.num_hidden_layers,
            num_attention_heads=self.num_attention_heads,
            intermediate_size=20,
            conv_dim=(32, 32, 32),
            conv_stride=(4, 4, 4),
            conv_kernel=(8, 8, 8),
            num_conv_pos_embeddings=16,
            num_conv_pos_embedding_groups=2,
            classifier_proj_size=16,
            **self.fields,
        )

    def prepare_config_and_inputs_for_common(self):
        return self.get_config(), {"input_values": floats_tensor([self.batch_size, self.seq_length])}


class ExHuBERTCommonTests(ModelTesterMixin):
    """What both layouts go through."""

    all_model_classes = (ExHuBERTModel, ExHuBERTForSequenceClassification)
    test_resize_embeddings = False
    test_can_init_all_missing_weights_before_2023 = True
    layout: dict

    def setUp(self):
        self.model_tester = ExHuBERTModelTester(self.layout)
        self.config_tester = ConfigTester(self, config_class=ExHuBERTConfig, hidden_size=36, has_text_modality=False)
        # behind a closed gate no comparison would see the adapted copy
        self.enterContext(mock.patch.object(ExHuBERTPreTrainedModel, "_init_weights", _open_gates))

    def test_config(self):
        self.config_tester.run_common_tests()

    def test_model_outputs_equivalence(self):
        self.model_tester.fields["attn_implementation"] = "eager"  # asked for attentions, the others raise
        super().test_model_outputs_equivalence()

    def test_capture_outputs_decorator(self):
        self.model_tester.fields["attn_implementation"] = "eager"
        super().test_capture_outputs_decorator()

    def test_can_init_all_missing_weights(self):
        lenient = classmethod(PreTrainedModel.from_pretrained.__func__)  # ours refuses a checkpoint without weights
        with mock.patch.object(ExHuBERTPreTrainedModel, "from_pretrained", lenient):
            super().test_can_init_all_missing_weights()

    @unittest.skip(
        "use_reentrant=True is refused on purpose: it loses the gradients of all that is behind a frozen layer"
    )
    def test_training_gradient_checkpointing_use_reentrant_true(self):
        pass

    @unittest.skip("speech models have no token embeddings")
    def test_model_get_set_embeddings(self):
        pass

    @unittest.skip("an ExHuBERT of two blocks has four layers; the limit of two only keeps transformers' own CI fast")
    def test_num_layers_is_small(self):
        pass

    @unittest.skip(WHOLE_BLOCK)
    def test_gradient_checkpointing_enable_disable(self):
        pass

    @unittest.skip(WHOLE_BLOCK)
    def test_peft_gradient_checkpointing_enable_disable(self):
        pass


class PostNormTest(ExHuBERTCommonTests, unittest.TestCase):
    layout = {"do_stable_layer_norm": False, "feat_extract_norm": "group", "conv_bias": False}


class PreNormTest(ExHuBERTCommonTests, unittest.TestCase):
    layout = {"do_stable_layer_norm": True, "feat_extract_norm": "layer", "conv_bias": True}
