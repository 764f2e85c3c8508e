"""Arguments for fine-tuning: dataclasses that define the YAML file, the command line and the Python API."""

import argparse
import difflib
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml
from transformers import HfArgumentParser, TrainingArguments
from transformers.integrations import unset_hf_deepspeed_config

from ..cpu import KERNELS
from ..devices import usable_accelerator
from ..emoset.augment import AUGMENTATIONS
from ..emoset.labelling.label_spaces import SPACES, read_space
from ..emoset.protocols.protocol import BUILT_IN
from ..emoset.protocols.protocol_file import find_protocol


@dataclass
class ModelArguments:
    """The model to fine-tune, and which of its parts to train."""

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
        metadata={"help": "Start ExHuBERT's gates at zero, equal to the HuBERT; false: random gates, for comparison."},
    )
    freeze_first_copies: bool = field(
        default=True, metadata={"help": "Freeze ExHuBERT's first copies; false trains them too."}
    )
    freeze_encoder: bool = field(
        default=False, metadata={"help": "Method `hubert`: freeze the whole HuBERT and train only the head."}
    )
    lora_rank: int = field(
        default=0,
        metadata={"help": "Method `hubert`: train low-rank adapters of this rank instead (needs peft); 0: off."},
    )
    freeze_feature_encoder: bool = field(default=True, metadata={"help": "Freeze the convolutional feature encoder."})
    freeze_shared_layers: bool = field(
        default=False,
        metadata={
            "help": "Also freeze feature projection, position convolution and final norm, which the published ExHuBERT "
            "trains. Then closing the gates restores the HuBERT exactly."
        },
    )
    hidden_dropout: float | None = field(default=None, metadata={"help": "Overrides the model's value, if given."})
    attention_dropout: float | None = field(default=None, metadata={"help": "Overrides the model's value, if given."})
    activation_dropout: float | None = field(default=None, metadata={"help": "Overrides the model's value, if given."})
    mask_time_prob: float | None = field(
        default=None,
        metadata={"help": "SpecAugment along time; overrides the model's value, if given. 0 switches it off."},
    )
    mask_feature_prob: float | None = field(
        default=None, metadata={"help": "SpecAugment along features; overrides the model's value, if given."}
    )

    def __post_init__(self):
        plain, extended = ("freeze_encoder", "lora_rank"), ("zero_init", "freeze_first_copies")
        wrong = plain if self.method == "exhubert" else extended
        defaults = {item.name: item.default for item in fields(self)}
        if changed := [name for name in wrong if getattr(self, name) != defaults[name]]:
            raise ValueError(f"`{changed[0]}` has no effect with method `{self.method}`; leave it out.")
        if self.freeze_encoder and self.lora_rank:
            raise ValueError("`freeze_encoder` and `lora_rank` exclude each other: adapters train in the encoder.")
        if self.lora_rank < 0:
            raise ValueError(f"`lora_rank` is {self.lora_rank}, expected 1 or more, or 0 for none.")

    @property
    def config_fields(self) -> dict[str, float]:
        """Fields of the model configuration to override."""
        names = ("hidden_dropout", "attention_dropout", "activation_dropout", "mask_time_prob", "mask_feature_prob")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


@dataclass
class DataArguments:
    """The training data, and how it is divided, sampled and augmented."""

    data: str = field(default="", metadata={"help": "Folder of a dataset built by `exhubert emoset build`."})
    corpora: list[str] | None = field(default=None, metadata={"help": "Only these corpora."})
    languages: list[str] | None = field(default=None, metadata={"help": "Only these languages (BCP-47)."})
    labels: str = field(
        default="six",
        metadata={
            "help": f"Classes of the head: {', '.join(SPACES)}, or your own YAML file, see "
            "exhubert.emoset.labelling.label_spaces. The dataset needn't be built again."
        },
    )
    max_seconds: float = field(
        default=3.0,
        metadata={
            "help": "Longest clip: training crops utterances at random places, evaluation cuts them into windows and "
            "averages the logits."
        },
    )
    protocol: str = field(
        default="held_out",
        metadata={
            "help": f"How to partition the utterances: {', '.join(BUILT_IN)}, a name that `exhubert emoset protocols` "
            "lists, or a YAML file."
        },
    )
    allow_leak: bool = field(
        default=False,
        metadata={"help": "Use a protocol whose partitions share speakers; the record and all results say so."},
    )
    folds: int = field(default=5, metadata={"help": "Number of folds of protocol `speaker_folds`."})
    fold: int = field(default=0, metadata={"help": "Fold of the protocol to train on, from 0."})
    balance: list[str] = field(
        default_factory=list,
        metadata={"help": "Sample rare groups more often; groups are `label`, `corpus` or both."},
    )
    sampling_temperature: float = field(
        default=math.inf,
        metadata={"help": "With `balance`: inf samples all groups equally often, 1 in proportion to size."},
    )
    augmentations: list[str] = field(
        default_factory=list, metadata={"help": f"Augment training clips: any of {', '.join(AUGMENTATIONS)}."}
    )
    augmentation_probability: float = field(default=0.5, metadata={"help": "Probability of each augmentation."})
    class_weighting: bool = field(
        default=True, metadata={"help": "Weight the loss by inverse class frequency, so that rare classes count."}
    )

    def __post_init__(self):
        read_space(self.labels)
        for name, known in (("balance", ("label", "corpus")), ("augmentations", tuple(AUGMENTATIONS))):
            if wrong := [item for item in getattr(self, name) if item not in known]:
                raise ValueError(f"`{name}` has {wrong[0]!r}, expected any of {', '.join(known)}.")
        if "label" in self.balance and self.class_weighting:
            raise ValueError(
                "`balance` by label and `class_weighting` both make rare classes count more; use only one of them, for "
                "example with `class_weighting: false`."
            )
        if self.max_seconds <= 0:
            raise ValueError(f"`max_seconds` is {self.max_seconds:g}, expected seconds above 0.")
        find_protocol(self.protocol)  # raises ValueError before any work

    def settings(self) -> dict[str, Any]:
        """The fields that decide on a run's outcome, with the hash of a protocol's file."""
        values = asdict(self)
        del values["allow_leak"]
        declared = find_protocol(self.protocol)
        # by name, since the file may have moved
        return values | ({"protocol": declared.name, "protocol_sha256": declared.sha256} if declared else {})


@dataclass
class SERTrainingArguments(TrainingArguments):
    """transformers' TrainingArguments with defaults for speech emotion recognition, and a few more options."""

    output_dir: str | None = field(default="runs/exhubert", metadata={"help": "Folder of the run."})
    learning_rate: float = field(default=1e-4, metadata={"help": "Peak learning rate."})
    lr_scheduler_type: str = field(default="cosine", metadata={"help": "Learning-rate schedule."})
    warmup_steps: float = field(
        default=0.1, metadata={"help": "Warm-up steps, or their share of all steps if below 1."}
    )
    weight_decay: float = field(default=0.01, metadata={"help": "Weight decay of AdamW."})
    eval_strategy: str = field(default="epoch", metadata={"help": "When to evaluate."})
    save_strategy: str = field(default="epoch", metadata={"help": "When to save a checkpoint."})
    save_total_limit: int | None = field(
        default=2, metadata={"help": "Checkpoints to keep, always including the best."}
    )
    logging_steps: float = field(default=10, metadata={"help": "Steps between log lines."})
    load_best_model_at_end: bool = field(default=True, metadata={"help": "Load the best checkpoint at the end."})
    metric_for_best_model: str | None = field(
        default="uar", metadata={"help": "Metric that selects the best checkpoint."}
    )
    greater_is_better: bool | None = field(default=True, metadata={"help": "Whether a higher metric is better."})
    remove_unused_columns: bool = field(default=False, metadata={"help": "False: the collator needs all columns."})
    label_names: list[str] | None = field(default_factory=lambda: ["labels"], metadata={"help": "Key of the labels."})
    ddp_find_unused_parameters: bool | None = field(
        default=False, metadata={"help": "False: every trainable part is used."}
    )
    gate_learning_rate: float | None = field(
        default=None, metadata={"help": "Peak learning rate of ExHuBERT's gates; default: learning_rate."}
    )
    adapted_learning_rate: float | None = field(
        default=None, metadata={"help": "Peak learning rate of the adapted copies; default: learning_rate."}
    )
    head_learning_rate: float | None = field(
        default=None, metadata={"help": "Peak learning rate of the classification head; default: learning_rate."}
    )
    logit_adjustment: float = field(
        default=0.0, metadata={"help": "Strength of logit adjustment by class frequency, 0 to 1; 0: off."}
    )
    ema_decay: float = field(
        default=0.0, metadata={"help": "Average the trained weights over steps with this decay, such as 0.999; 0: off."}
    )
    kernels: str = field(
        default="auto",
        metadata={"help": "CPU kernels, see exhubert.cpu; losses agree to 1e-5.", "choices": list(KERNELS)},
    )
    step_in_backward: bool = field(
        default=False,
        metadata={
            "help": "Update each weight as soon as its gradient is computed and free the gradient, to save memory; the "
            "weights are the same bit for bit. Needs `max_grad_norm: 0`, one process and no accumulated steps."
        },
    )
    dry_run: bool = field(
        default=False, metadata={"help": "Run one step, print the run's estimated time and memory, and write nothing."}
    )
    patience: int = field(default=0, metadata={"help": "Evaluations without progress before stopping early; 0: never."})
    resume: bool = field(default=False, metadata={"help": "Continue from the last complete checkpoint in output_dir."})
    processes: int | None = field(
        default=None, metadata={"help": "Required number of ranks; launchers may silently start fewer."}
    )

    def __post_init__(self):
        if usable_accelerator() is None:
            self.use_cpu = True  # several ranks on a CPU need it set
        super().__post_init__()
        # load models whole and let DeepSpeed ZeRO-3 shard them later: HuBERT's weight norm can't be loaded sharded
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
            (norm > 0, f"`max_grad_norm` is {norm:g}, which needs all gradients at once: set it to 0"),
            (
                accumulated > 1,
                f"`gradient_accumulation_steps` is {accumulated}, which accumulates gradients: set it to 1",
            ),
            (self.world_size > 1, f"there are {self.world_size} ranks, which exchange gradients: start one"),
            (self.fp16, "`fp16` scales gradients: use `bf16`"),
        ):
            if wrong:
                raise ValueError(f"`step_in_backward` frees each gradient as soon as its weight is updated, but {why}.")


Arguments = tuple[ModelArguments, DataArguments, SERTrainingArguments]


def parse_arguments(arguments: Sequence[str]) -> Arguments:
    """Reads `CONFIG.yaml --field value ...`; the command line overrides the file.

    Raises:
        ValueError: The file is missing, isn't a mapping or has an unknown key, or the command line has an
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
    # YAML reads 1e-3 as text; argparse converts text to the type of the field
    return {key: str(value) if isinstance(value, float) else value for key, value in values.items()}
