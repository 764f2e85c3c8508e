"""Typed arguments of the recipe: the same dataclasses are the YAML file, the command line and the Python API."""

import argparse
import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
import yaml
from transformers import HfArgumentParser, TrainingArguments
from transformers.integrations import unset_hf_deepspeed_config

from ..cpu import KERNELS
from ..emoset.augment import AUGMENTATIONS
from ..evaluation.protocols import PROTOCOLS


@dataclass
class ModelArguments:
    """Which model is trained, and which of its parts."""

    model: str = field(
        default="facebook/hubert-large-ls960-ft",
        metadata={"help": "Folder or hub id: a HuBERT to extend, an ExHuBERT, or the published checkpoint."},
    )
    method: str = field(
        default="exhubert",
        metadata={
            "help": "`exhubert`, or `hubert` to fine-tune a plain HuBERT for comparison.",
            "choices": ["exhubert", "hubert"],
        },
    )
    zero_init: bool = field(
        default=True,
        metadata={"help": "Start ExHuBERT's gates at zero; false draws them, for comparison: the identity is lost."},
    )
    freeze_first_copies: bool = field(
        default=True, metadata={"help": "Keep ExHuBERT's first copies as they are; false trains them too."}
    )
    freeze_encoder: bool = field(
        default=False, metadata={"help": "Method `hubert`: keep the whole HuBERT as it is and train the head only."}
    )
    lora_rank: int = field(
        default=0,
        metadata={"help": "Method `hubert`: train low-rank adapters of this rank instead (needs peft); 0: don't."},
    )
    freeze_feature_encoder: bool = field(
        default=True, metadata={"help": "Keep the convolutional feature encoder as it is."}
    )
    freeze_shared_layers: bool = field(
        default=False,
        metadata={
            "help": "Also keep feature projection, position convolution and final norm, which the published ExHuBERT "
            "trains. Then closing the gates restores the HuBERT exactly."
        },
    )
    hidden_dropout: float | None = field(default=None, metadata={"help": "Replaces the model's own, if given."})
    attention_dropout: float | None = field(default=None, metadata={"help": "Replaces the model's own, if given."})
    activation_dropout: float | None = field(default=None, metadata={"help": "Replaces the model's own, if given."})
    mask_time_prob: float | None = field(
        default=None,
        metadata={"help": "SpecAugment along time; replaces the model's own, if given. 0 switches it off."},
    )
    mask_feature_prob: float | None = field(
        default=None, metadata={"help": "SpecAugment along features; replaces the model's own, if given."}
    )

    def __post_init__(self):
        plain, extended = ("freeze_encoder", "lora_rank"), ("zero_init", "freeze_first_copies")
        wrong = plain if self.method == "exhubert" else extended
        defaults = {item.name: item.default for item in fields(self)}
        if changed := [name for name in wrong if getattr(self, name) != defaults[name]]:
            raise ValueError(f"`{changed[0]}` says nothing for method `{self.method}`; leave it out.")
        if self.freeze_encoder and self.lora_rank:
            raise ValueError("`freeze_encoder` and `lora_rank` exclude each other: adapters train in the encoder.")
        if self.lora_rank < 0:
            raise ValueError(f"`lora_rank` is {self.lora_rank}, expected 1 or more, or 0 for none.")

    @property
    def config_fields(self) -> dict[str, float]:
        """Fields of the model's configuration that are set here."""
        names = ("hidden_dropout", "attention_dropout", "activation_dropout", "mask_time_prob", "mask_feature_prob")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


@dataclass
class DataArguments:
    """What is trained on."""

    data: str = field(default="", metadata={"help": "Folder of a dataset made by `exhubert emoset build`."})
    corpora: list[str] | None = field(default=None, metadata={"help": "Only these corpora."})
    languages: list[str] | None = field(default=None, metadata={"help": "Only these languages (BCP-47)."})
    max_seconds: float = field(
        default=3.0,
        metadata={
            "help": "Longest clip: training crops utterances at random places, evaluation cuts them into windows and "
            "averages the logits."
        },
    )
    protocol: str = field(
        default="held_out",
        metadata={"help": "How the utterances are divided, see exhubert.evaluation.protocols.", "choices": PROTOCOLS},
    )
    folds: int = field(default=5, metadata={"help": "Protocol `speaker_folds`: how many."})
    fold: int = field(default=0, metadata={"help": "Which fold of the protocol to train, from 0."})
    balance: list[str] = field(
        default_factory=list,
        metadata={"help": "Draw utterances by `label`, `corpus` or both, the rarer the more often."},
    )
    sampling_temperature: float = field(
        default=math.inf,
        metadata={"help": "With `balance`: inf draws all groups equally often, 1 as often as they are."},
    )
    augmentations: list[str] = field(
        default_factory=list, metadata={"help": f"Change training clips: any of {', '.join(AUGMENTATIONS)}."}
    )
    augmentation_probability: float = field(default=0.5, metadata={"help": "Of each augmentation."})
    class_weighting: bool = field(
        default=True, metadata={"help": "Weigh the loss by inverse class frequency, so that rare classes count."}
    )

    def __post_init__(self):
        for name, known in (("balance", ("label", "corpus")), ("augmentations", tuple(AUGMENTATIONS))):
            if wrong := [item for item in getattr(self, name) if item not in known]:
                raise ValueError(f"`{name}` has {wrong[0]!r}, expected any of {', '.join(known)}.")
        if "label" in self.balance and self.class_weighting:
            raise ValueError(
                "`balance` by label and `class_weighting` both make rare classes count more; keep one of them, such as "
                "by `class_weighting: false`."
            )
        if self.max_seconds <= 0:
            raise ValueError(f"`max_seconds` is {self.max_seconds:g}, expected seconds above 0.")


@dataclass
class SERTrainingArguments(TrainingArguments):
    """The Trainer's own arguments with defaults for speech emotion recognition, and some of ours."""

    output_dir: str | None = field(default="runs/exhubert", metadata={"help": "Folder of the run."})
    learning_rate: float = field(default=1e-4, metadata={"help": "Peak learning rate."})
    lr_scheduler_type: str = field(default="cosine", metadata={"help": "Learning-rate schedule."})
    warmup_steps: float = field(default=0.1, metadata={"help": "Warm-up: steps, or a share of all steps below 1."})
    weight_decay: float = field(default=0.01, metadata={"help": "Weight decay of AdamW."})
    eval_strategy: str = field(default="epoch", metadata={"help": "When to evaluate."})
    save_strategy: str = field(default="epoch", metadata={"help": "When to save a checkpoint."})
    save_total_limit: int | None = field(default=2, metadata={"help": "Checkpoints to keep; the best always is."})
    logging_steps: float = field(default=10, metadata={"help": "Steps between log lines."})
    load_best_model_at_end: bool = field(default=True, metadata={"help": "End with the best checkpoint."})
    metric_for_best_model: str | None = field(default="uar", metadata={"help": "Which checkpoint is best."})
    greater_is_better: bool | None = field(default=True, metadata={"help": "Whether more of it is better."})
    remove_unused_columns: bool = field(default=False, metadata={"help": "The collator needs them all."})
    label_names: list[str] | None = field(default_factory=lambda: ["labels"], metadata={"help": "Key of the labels."})
    ddp_find_unused_parameters: bool | None = field(default=False, metadata={"help": "Every trainable part is used."})
    gate_learning_rate: float | None = field(
        default=None, metadata={"help": "Peak learning rate of ExHuBERT's gates; by default that of all."}
    )
    adapted_learning_rate: float | None = field(
        default=None, metadata={"help": "Peak learning rate of the adapted copies; by default that of all."}
    )
    head_learning_rate: float | None = field(
        default=None, metadata={"help": "Peak learning rate of the classification head; by default that of all."}
    )
    logit_adjustment: float = field(
        default=0.0, metadata={"help": "Strength of logit adjustment by class frequency, 0 to 1; 0: none."}
    )
    ema_decay: float = field(
        default=0.0, metadata={"help": "Average the trained weights over steps with this decay, as 0.999; 0: don't."}
    )
    kernels: str = field(
        default="auto",
        metadata={"help": "Of a processor, see exhubert.cpu; losses equal to 1e-5.", "choices": list(KERNELS)},
    )
    step_in_backward: bool = field(
        default=False,
        metadata={
            "help": "Step each weight as soon as its gradient is there and drop the gradient, for memory; the same "
            "weights bit for bit. Needs `max_grad_norm: 0`, one process and no accumulated steps."
        },
    )
    dry_run: bool = field(
        default=False, metadata={"help": "Do one step, print what the run would take, and leave nothing behind."}
    )
    patience: int = field(default=0, metadata={"help": "Evaluations without progress before stopping early; 0: never."})
    resume: bool = field(default=False, metadata={"help": "Go on from the last complete checkpoint in output_dir."})
    processes: int | None = field(
        default=None, metadata={"help": "Ranks that must be there; launchers can start fewer without a word."}
    )

    def __post_init__(self):
        if not torch.accelerator.is_available():
            self.use_cpu = True  # several ranks on a CPU need to be told
        super().__post_init__()
        # models load whole and DeepSpeed ZeRO-3 divides them later: HuBERT's weight norm can't be loaded in pieces
        unset_hf_deepspeed_config()
        if self.step_in_backward:
            self._check_step_in_backward()
        if self.processes is not None and self.processes != self.world_size:
            raise ValueError(
                f"`processes` asks for {self.processes} ranks, but the launcher started {self.world_size}. On CPU, "
                "`accelerate launch --cpu --num_processes 2` starts one; use recipes/accelerate/cpu_two_ranks.yaml."
            )

    def _check_step_in_backward(self):
        norm, accumulated = self.max_grad_norm, self.gradient_accumulation_steps
        for wrong, why in (
            (norm > 0, f"`max_grad_norm` is {norm:g}, which needs all gradients at once: give 0"),
            (accumulated > 1, f"`gradient_accumulation_steps` is {accumulated}, which keeps them: give 1"),
            (self.world_size > 1, f"there are {self.world_size} ranks, which exchange them: start one"),
            (self.fp16, "`fp16` scales them: give `bf16`"),
        ):
            if wrong:
                raise ValueError(f"`step_in_backward` drops each gradient as soon as its weight has moved, but {why}.")


Arguments = tuple[ModelArguments, DataArguments, SERTrainingArguments]


def parse_arguments(arguments: Sequence[str]) -> Arguments:
    """Reads `CONFIG.yaml --field value ...`; the command line wins over the file.

    Raises:
        ValueError: The file is missing, isn't a mapping, or has a key that no argument has; or the command line has an
            unknown option.
        SystemExit: The command line has a value of the wrong type.
    """
    classes = (ModelArguments, DataArguments, SERTrainingArguments)
    parser = HfArgumentParser(classes, formatter_class=argparse.HelpFormatter, description=__doc__, allow_abbrev=False)
    parser.add_argument("config", nargs="?", help="YAML file with any of the fields below")
    known, _ = parser.parse_known_args(arguments)
    if known.config:
        parser.set_defaults(**_read_config(Path(known.config), classes))
    model, data, training, _, rest = parser.parse_args_into_dataclasses(arguments, return_remaining_strings=True)
    if rest:
        known_options = [option for action in parser._actions for option in action.option_strings]
        close = difflib.get_close_matches(rest[0].split("=")[0], known_options, n=1)
        hint = f"did you mean {close[0]}?" if close else "see --help for all options."
        raise ValueError(f"unknown option {rest[0]}; {hint}")
    return model, data, training


def _read_config(path: Path, classes: Sequence[type]) -> dict[str, Any]:
    if not path.is_file():
        raise ValueError(f"{path}: there is no such configuration file.")
    values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    if not isinstance(values, dict):
        raise ValueError(f"{path}: expected `field: value` lines, found a {type(values).__name__}.")
    known = {item.name: item for cls in classes for item in fields(cls) if item.init}
    for key in sorted(values.keys() - known.keys()):
        close = difflib.get_close_matches(key, known, n=1)
        hint = f"did you mean `{close[0]}`?" if close else "see --help for all fields."
        raise ValueError(f"{path}: unknown key `{key}`; {hint}")
    for key, value in values.items():
        choices = known[key].metadata.get("choices")
        if choices and value not in choices:
            raise ValueError(f"{path}: `{key}` is {value!r}, expected {' or '.join(choices)}.")
        if "list[" in str(known[key].type) and isinstance(value, str):
            values[key] = [value]
    # YAML reads 1e-3 as text; argparse turns text into what the field wants
    return {key: str(value) if isinstance(value, float) else value for key, value in values.items()}
