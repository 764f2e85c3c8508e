"""The model: what is frozen, what gets gradients, what padding and checkpointing may not change."""

import pytest
import torch
from transformers import AutoModel, AutoModelForAudioClassification, HubertModel, Trainer, TrainingArguments

from exhubert import ExHuBERTConfig, ExHuBERTForSequenceClassification, ExHuBERTModel

from .conftest import tiny_config, tiny_hubert


def extended(layout, seed=0, **fields):
    """An ExHuBERT whose gates are open, so that the adapted copies matter."""
    model = ExHuBERTForSequenceClassification.from_hubert(tiny_hubert(layout), **fields)
    torch.manual_seed(seed)
    with torch.no_grad():
        for block in model.blocks:
            block.gate.weight.normal_(std=0.3)
            block.gate.bias.normal_(std=0.3)
    return model


def still(**fields):
    """Fields that switch off every random choice of a training step."""
    off = dict.fromkeys(("hidden_dropout", "attention_dropout", "activation_dropout", "feat_proj_dropout"), 0.0)
    return off | {"apply_spec_augment": False} | fields


def gradients(model, inputs, labels):
    model.zero_grad()
    model(inputs, labels=labels).loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def test_gates_are_zero_on_every_way_to_a_new_model(layout, tmp_path):
    hubert = tiny_hubert(layout, HubertModel)
    config = ExHuBERTModel.from_hubert(hubert).config
    constructed = ExHuBERTModel(config)
    from_auto = AutoModel.from_config(config)
    constructed.save_pretrained(tmp_path)
    reloaded = ExHuBERTModel.from_pretrained(tmp_path)
    hubert_state = ExHuBERTModel.from_hubert(hubert).state_dict()
    no_gates = {key: value for key, value in hubert_state.items() if ".gate." not in key}
    drawn, info = ExHuBERTModel.from_pretrained(None, config=config, state_dict=no_gates, output_loading_info=True)
    assert len(info["missing_keys"]) == 2 * config.num_blocks
    for model in (constructed, from_auto, reloaded, drawn, ExHuBERTModel.from_hubert(hubert)):
        for block in model.blocks:
            assert not block.gate.weight.any() and not block.gate.bias.any()


def test_new_frozen_gate_is_the_identity(layout):
    fields = tiny_config(layout).to_dict() | {"num_hidden_layers": 4, "frozen_gate": True, "layerdrop": 0.0}
    model = ExHuBERTModel(ExHuBERTConfig(**{k: v for k, v in fields.items() if k != "model_type"}))
    for block in model.blocks:
        assert torch.equal(block.frozen_gate.weight, torch.eye(32)) and not block.frozen_gate.bias.any()


def test_module_names_are_the_documented_ones(layout):
    names = {name for name, _ in extended(layout).named_parameters()}
    assert "hubert.encoder.layers.2.frozen.attention.k_proj.weight" in names
    assert "hubert.encoder.layers.2.adapted.attention.k_proj.weight" in names
    assert {"hubert.encoder.layers.0.gate.weight", "projector.weight", "classifier.bias"} <= names
    assert not any("frozen_gate" in name for name in names)


def test_frozen_copies_are_frozen_from_construction_and_after_loading(layout, tmp_path):
    model = extended(layout)
    model.save_pretrained(tmp_path)
    for candidate in (model, AutoModelForAudioClassification.from_pretrained(tmp_path)):
        for block in candidate.blocks:
            assert not any(p.requires_grad for p in block.frozen.parameters())
            assert all(p.requires_grad for p in (*block.adapted.parameters(), *block.gate.parameters()))


def test_frozen_copies_stay_in_eval_mode_while_adapted_copies_train(layout):
    model = extended(layout).train()
    for block in model.blocks:
        assert not any(module.training for module in block.frozen.modules())
        assert all(module.training for module in block.adapted.modules())
    published_way = extended(layout, frozen_dropout=True).train()
    assert all(module.training for block in published_way.blocks for module in block.frozen.modules())


def test_dropout_acts_in_adapted_copies_only(layout, speechlike):
    fields = still(hidden_dropout=0.5)
    model = extended(layout, **fields).train()
    first = model.hubert.encoder.layers[0]
    states = torch.randn(1, 5, 32)
    assert torch.equal(first.frozen(states), first.frozen(states))
    assert not torch.equal(first.adapted(states), first.adapted(states))


def test_layerdrop_leaves_out_adapted_copies_and_never_frozen_ones(layout, speechlike):
    hubert = tiny_hubert(layout, **still())
    model = ExHuBERTForSequenceClassification.from_hubert(hubert, layerdrop=1.0)
    with torch.no_grad():
        for block in model.blocks:
            block.gate.weight.normal_()
        opened = model(speechlike).logits
        dropped = model.train()(speechlike).logits
        assert torch.equal(dropped, hubert(speechlike).logits)
        assert not torch.allclose(opened, dropped)


def test_freezing_and_unfreezing(layout):
    model = extended(layout)

    def trainable(part):
        return {p.requires_grad for name, p in model.named_parameters() if part in name}

    model.freeze_feature_encoder()
    assert trainable("feature_extractor") == {False}
    model.unfreeze_feature_encoder()
    assert trainable("feature_extractor") == {True}
    model.unfreeze_og_encoder()
    assert trainable(".frozen.") == {True}
    model.freeze_og_encoder()
    assert trainable(".frozen.") == {False}
    model.freeze_base_model()
    assert trainable("hubert.") == {False} and trainable("classifier") == {True}
    model.unfreeze_base_model()
    assert trainable(".adapted.") == {True} and trainable(".frozen.") == {False}


def test_at_step_zero_only_gates_of_the_blocks_get_gradients_and_the_step_after_opens_the_copies(layout, speechlike):
    model = ExHuBERTForSequenceClassification.from_hubert(tiny_hubert(layout), **still()).train()
    labels = torch.tensor([0, 2])
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)

    before = gradients(model, speechlike, labels)
    assert not any(".frozen." in name for name in before)
    assert all(not grad.any() for name, grad in before.items() if ".adapted." in name)
    gates = [grad for name, grad in before.items() if ".gate." in name]
    assert len(gates) == 2 * len(model.blocks) and all(grad.any() for grad in gates)
    assert before["hubert.feature_projection.projection.weight"].any(), "frozen layers still pass gradients through"

    optimizer.step()
    after = gradients(model, speechlike, labels)
    assert all(after[name].any() for name in after if ".adapted." in name and name.endswith("out_proj.weight"))


def test_padding_never_changes_a_result_of_layer_norm_models(speechlike):
    model = extended("pre_norm").eval()
    lengths = [8000, 5000, 401]
    clips = [speechlike[index % 2, :length] for index, length in enumerate(lengths)]
    batch = torch.nn.utils.rnn.pad_sequence(clips, batch_first=True)
    mask = (torch.arange(8000) < torch.tensor(lengths)[:, None]).long()
    with torch.no_grad():
        batched = model(batch, attention_mask=mask).logits
        single = torch.cat([model(clip[None]).logits for clip in clips])
    torch.testing.assert_close(batched, single, atol=1e-5, rtol=0)


def test_mask_without_a_whole_frame_counts_as_one_frame(speechlike):
    model = extended("pre_norm").eval()
    mask = torch.zeros(2, 8000, dtype=torch.long)
    mask[0, :8000] = 1
    with torch.no_grad():
        logits = model(speechlike, attention_mask=mask).logits
    assert logits.isfinite().all()
    assert model._get_feature_vector_attention_mask(24, mask).sum(dim=1).tolist() == [24, 1]


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_attention_implementations_agree(layout, implementation, speechlike):
    model = extended(layout).eval()
    with torch.no_grad():
        expected = model(speechlike).logits
        model.set_attn_implementation(implementation)
        torch.testing.assert_close(model(speechlike).logits, expected, atol=1e-5, rtol=1e-5)


def test_hidden_states_are_input_then_each_frozen_and_block_output(layout, speechlike):
    model = extended(layout).eval()
    with torch.no_grad():
        states = model(speechlike, output_hidden_states=True).hidden_states
        assert len(states) == model.config.num_hidden_layers + 1
        for index, block in enumerate(model.blocks):
            frozen = block.frozen(states[2 * index])
            torch.testing.assert_close(states[2 * index + 1], frozen)
            given = frozen + block.gate(block.adapted(frozen))
            if index == len(model.blocks) - 1 and layout == "pre_norm":
                given = model.hubert.encoder.layer_norm(given)
            torch.testing.assert_close(states[2 * index + 2], given)
        assert torch.equal(states[-1], model.hubert(speechlike).last_hidden_state)
        assert model(speechlike).hidden_states is None


def test_attentions_come_with_eager_and_are_refused_with_a_sentence_otherwise(layout, speechlike):
    model = extended(layout).eval()
    with pytest.raises(ValueError, match="needs eager attention, and this model runs 'sdpa'"):
        model(speechlike, output_attentions=True)
    model.set_attn_implementation("eager")
    attentions = model(speechlike, output_attentions=True).attentions
    assert len(attentions) == model.config.num_hidden_layers
    assert attentions[0].shape == (2, 2, 24, 24)
    torch.testing.assert_close(attentions[0].sum(dim=-1), torch.ones(2, 2, 24))


def test_losses_follow_the_kind_of_labels(layout, speechlike):
    model = extended(layout).eval()
    logits = model(speechlike).logits
    torch.testing.assert_close(
        model(speechlike, labels=torch.tensor([0, 2])).loss,
        torch.nn.functional.cross_entropy(logits, torch.tensor([0, 2])),
    )
    several = extended(layout, problem_type="multi_label_classification").eval()
    wanted = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    torch.testing.assert_close(
        several(speechlike, labels=wanted).loss, torch.nn.functional.binary_cross_entropy_with_logits(logits, wanted)
    )
    one = ExHuBERTForSequenceClassification.from_hubert(tiny_hubert(layout), labels=1).eval()
    target = torch.tensor([0.5, -1.0])
    torch.testing.assert_close(
        one(speechlike, labels=target).loss, torch.nn.functional.mse_loss(one(speechlike).logits[:, 0], target)
    )


def test_gradient_checkpointing_gives_the_same_gradients(layout, speechlike):
    labels = torch.tensor([0, 2])
    plain = extended(layout, **still()).train()
    expected = gradients(plain, speechlike, labels)
    plain.activation_checkpointing_enable()
    assert all(block.gradient_checkpointing and not block.adapted.gradient_checkpointing for block in plain.blocks)
    found = gradients(plain, speechlike, labels)
    assert found.keys() == expected.keys()
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], atol=0, rtol=0, msg=name)


def test_checkpointing_every_second_block_and_switching_it_off_again(layout):
    model = extended(layout)
    model.activation_checkpointing_enable(every_n_layers=2)
    assert [block.gradient_checkpointing for block in model.blocks] == [True, False, True]
    model.activation_checkpointing_disable()
    assert not any(
        module.gradient_checkpointing for module in model.modules() if hasattr(module, "gradient_checkpointing")
    )


def test_reentrant_checkpointing_is_refused_because_it_loses_gradients(layout):
    with pytest.raises(ValueError, match="use_reentrant=True silently loses"):
        extended(layout).activation_checkpointing_enable({"use_reentrant": True})


def test_frozen_copies_are_in_eval_mode_on_a_model_nobody_has_called_train_or_eval_on(layout, speechlike):
    config = extended(layout, hidden_dropout=0.5, layerdrop=1.0).config
    torch.manual_seed(0)
    model = ExHuBERTModel(config)
    assert not any(module.training for block in model.blocks for module in block.frozen.modules())
    first = model.encoder.layers[0].frozen(torch.ones(1, 4, 32))
    assert torch.equal(first, model.encoder.layers[0].frozen(torch.ones(1, 4, 32)))
    assert not model.encoder.training, "HuBERT's LayerDrop over whole blocks is off"


@pytest.mark.parametrize("accumulation", [1, 2])
def test_transformers_own_trainer_scales_the_loss_right(accumulation, tmp_path, speechlike):
    """Without `accepts_loss_kwargs = False` the Trainer takes the mean for a sum and doubles it here."""
    model = extended("pre_norm", **still())
    rows = [{"input_values": speechlike[index % 2], "labels": index % 3} for index in range(4)]
    arguments = TrainingArguments(
        str(tmp_path), per_device_train_batch_size=4 // accumulation, gradient_accumulation_steps=accumulation,
        max_steps=1, logging_steps=1, learning_rate=0.0, report_to=[], use_cpu=True, disable_tqdm=True,
    )  # fmt: skip
    labels = torch.tensor([row["labels"] for row in rows])
    with torch.no_grad():
        expected = model(torch.stack([row["input_values"] for row in rows]), labels=labels).loss.item()
    trainer = Trainer(model, arguments, train_dataset=rows)
    trainer.train()
    assert trainer.state.log_history[0]["loss"] == pytest.approx(expected, rel=1e-4)


def test_spec_augment_acts_in_training_only_and_spares_clips_shorter_than_a_mask(layout, speechlike):
    fields = still(apply_spec_augment=True, mask_time_prob=0.5, mask_time_length=10)
    model = ExHuBERTForSequenceClassification.from_hubert(tiny_hubert(layout), **fields)
    with torch.no_grad():
        whole = model.eval()(speechlike).logits
        assert torch.equal(whole, model(speechlike).logits)
        assert not torch.equal(whole, model.train()(speechlike).logits)
    short = speechlike[:, :800]
    model.train()(short, labels=torch.tensor([0, 1])).loss.backward()
    assert model.hubert.masked_spec_embed.grad is not None, "data-parallel ranks keep the same graph"
    torch.testing.assert_close(model(short).logits, model.eval()(short).logits)


def test_weighted_layer_sum_weighs_every_state(layout, speechlike):
    model = extended(layout, use_weighted_layer_sum=True, labels=["a", "b"]).eval()
    with torch.no_grad():
        model.layer_weights.normal_()
        output = model(speechlike, output_hidden_states=True)
        weights = model.layer_weights.softmax(-1).view(-1, 1, 1, 1)
        expected = model.classify((torch.stack(output.hidden_states) * weights).sum(0))
    assert len(model.layer_weights) == model.config.num_hidden_layers + 1
    torch.testing.assert_close(output.logits, expected)


def test_safetensors_round_trip_is_bitwise(layout, speechlike, tmp_path):
    model = extended(layout).eval()
    model.save_pretrained(tmp_path)
    assert (tmp_path / "model.safetensors").is_file()
    loaded = AutoModelForAudioClassification.from_pretrained(tmp_path)
    assert isinstance(loaded, ExHuBERTForSequenceClassification)
    with torch.no_grad():
        assert torch.equal(loaded(speechlike).logits, model(speechlike).logits)
    base = AutoModel.from_pretrained(tmp_path)
    with torch.no_grad():
        assert torch.equal(base(speechlike).last_hidden_state, model.hubert(speechlike).last_hidden_state)


def test_incomplete_checkpoint_is_an_error_that_lists_what_is_missing(layout, tmp_path):
    model = extended(layout)
    state = {key: value for key, value in model.state_dict().items() if "layers.1.gate" not in key}
    model.save_pretrained(tmp_path, state_dict=state)
    with pytest.raises(RuntimeError, match="missing hubert.encoder.layers.1.gate.bias"):
        ExHuBERTForSequenceClassification.from_pretrained(tmp_path)


def test_left_over_weights_and_a_body_of_another_size_are_errors_whatever_is_asked(layout, tmp_path):
    model = extended(layout)
    model.save_pretrained(tmp_path / "more", state_dict=model.state_dict() | {"hubert.surplus": torch.zeros(2)})
    with pytest.raises(RuntimeError, match="unexpected hubert.surplus"):
        ExHuBERTForSequenceClassification.from_pretrained(tmp_path / "more")
    model.save_pretrained(tmp_path / "whole")
    with pytest.raises(RuntimeError, match="of another shape .*intermediate_dense"):
        ExHuBERTForSequenceClassification.from_pretrained(
            tmp_path / "whole", intermediate_size=96, ignore_mismatched_sizes=True
        )
    model.hubert.save_pretrained(tmp_path / "headless")
    with pytest.raises(RuntimeError, match="missing classifier.bias"):
        ExHuBERTForSequenceClassification.from_pretrained(tmp_path / "headless")


def test_spec_augment_vector_may_come_and_go_with_the_configuration(layout, tmp_path, speechlike):
    model = extended(layout).eval()
    model.save_pretrained(tmp_path)
    without = ExHuBERTForSequenceClassification.from_pretrained(tmp_path, mask_time_prob=0.0)
    assert not hasattr(without.hubert, "masked_spec_embed")
    with torch.no_grad():
        torch.testing.assert_close(without(speechlike).logits, model(speechlike).logits, atol=1e-6, rtol=0)


def test_folder_inside_a_folder_and_tuples_work(layout, tmp_path, speechlike):
    extended(layout).save_pretrained(tmp_path / "inner")
    model = ExHuBERTForSequenceClassification.from_pretrained(tmp_path, subfolder="inner")
    assert model(speechlike, return_dict=False)[0].shape == (2, 3)


def test_new_head_is_drawn_only_when_asked_for(layout, tmp_path):
    extended(layout).save_pretrained(tmp_path)
    with pytest.raises(RuntimeError, match="of another shape|mismatched"):
        ExHuBERTForSequenceClassification.from_pretrained(tmp_path, num_labels=5)
    model = ExHuBERTForSequenceClassification.from_pretrained(tmp_path, num_labels=5, ignore_mismatched_sizes=True)
    assert model.classifier.out_features == 5


def test_hubert_checkpoint_in_place_of_an_exhubert_is_refused(layout, tmp_path):
    tiny_hubert(layout).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="not an ExHuBERT but a checkpoint of type 'hubert'.*from_hubert"):
        ExHuBERTForSequenceClassification.from_pretrained(tmp_path)


def test_too_few_samples_for_a_frame_is_a_sentence(layout):
    with pytest.raises(ValueError, match="holds 399 samples, too few for one frame"):
        extended(layout)(torch.zeros(1, 399))


def test_bf16_autocast_stays_close(layout, speechlike):
    model = extended(layout).eval()
    with torch.no_grad():
        expected = model(speechlike).logits
        with torch.autocast("cpu", torch.bfloat16):
            found = model(speechlike).logits.float()
    torch.testing.assert_close(found, expected, atol=0.05, rtol=0.05)


@pytest.mark.slow
def test_compiles_to_one_graph_with_the_same_result(speechlike):
    model = extended("pre_norm").eval()
    compiled = torch.compile(model, fullgraph=True, dynamic=False, backend="aot_eager")
    with torch.no_grad():
        torch.testing.assert_close(compiled(speechlike).logits, model(speechlike).logits, atol=1e-6, rtol=1e-5)
