"""Configuration of ExHuBERT models: HuBERT's fields plus those that describe the blocks."""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub.dataclasses import strict
from transformers.models.hubert.configuration_hubert import HubertConfig
from transformers.utils import CONFIG_NAME, logging

logger = logging.get_logger(__name__)

DEFAULT_WINDOW_SECONDS = 3.0  # the clips of the paper

# Logit order of the published model: low arousal first, and in each half negative, neutral, positive valence.
SIX_CLASSES = ("low_negative", "low_neutral", "low_positive", "high_negative", "high_neutral", "high_positive")

# Keys of older HuBERT configurations that are no longer used.
_OBSOLETE = {"feat_extract_dropout", "hidden_dropout_prob", "gradient_checkpointing", "diversity_loss_weight"}

# Keys that are not fields, but are used by transformers or HuBERT's layers.
_ATTRIBUTES = {
    "adapter_attn_dim", "attn_implementation", "auto_map", "custom_pipelines", "experts_implementation", "model_type",
    "name_or_path", "num_feat_extract_layers", "num_labels", "output_attentions", "per_layer_config",
    "quantization_config", "task_specific_params", "torch_dtype", "use_cache",
}  # fmt: skip


_ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".7z", ".rar")
_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".onnx", ".gguf", ".h5", ".msgpack")


@strict
class ExHuBERTConfig(HubertConfig):
    r"""
    Configuration of an ExHuBERT (Amiriparian et al., Interspeech 2024, arXiv 2406.10275).

    Fields of [`~transformers.HubertConfig`] keep their meaning, with three exceptions: `num_hidden_layers` counts
    transformer layers including copies, `layerdrop` defaults to 0.0 and drops only adapted copies, and `id2label`
    defaults to the six EmoSet++ classes.

    Args:
        num_hidden_layers (`int`, defaults to 24): Number of transformer layers, counting both frozen and adapted copies
            (24 for the base size, 48 for large). Always even; `num_blocks` is half of it.
        frozen_gate (`bool` or `list[int]`, defaults to `False`): Whether a linear layer follows each frozen copy too,
            or the indices of the blocks with one. Only for converted published checkpoints; starts as the identity.
        closed_blocks (`list[int]`, *optional*): Indices of the blocks without adapted copy and gate, which return the
            output of their frozen copy. Set by [`exhubert.conversion.fold`]; none in a new model.
        frozen_dropout (`bool`, defaults to `False`): Whether frozen copies follow `model.train()` and apply dropout,
            as in the published code. By default they stay in eval mode.
        layerdrop (`float`, defaults to 0.0): Probability that a training step drops the output of an adapted copy.
            Frozen copies are never dropped.
        tie_last_hidden_states (`bool`, defaults to `True`): Whether `hidden_states[-1]` is `last_hidden_state`, that
            is, after the final layer norm if the layout has one.
        logit_temperature (`float`, *optional*): Divisor that the pipeline applies to logits before the softmax to
            calibrate probabilities (Guo et al., ICML 2017). The logits of the model itself are not divided.
        window_seconds (`float`, *optional*): Length in seconds of the windows the model was trained on; longer
            recordings are cut into windows of this length.
        base_checkpoint (`str`, *optional*): Name or path of the HuBERT this model was extended from.
        license (`str`, *optional*): Licence of the weights, if known.

    Raises:
        ValueError: `num_hidden_layers` is odd or not positive, `frozen_gate`, `closed_blocks`, `logit_temperature` or
            `layerdrop` is out of range, or a key looks like a misspelt field.

    Example:

    ```python
    >>> from exhubert import ExHuBERTConfig
    >>> config = ExHuBERTConfig(num_hidden_layers=48)
    >>> config.num_blocks, config.num_labels
    (24, 6)

    ```"""

    model_type = "exhubert"

    num_hidden_layers: int = 24
    layerdrop: float | int = 0.0
    frozen_gate: bool | list[int] = False
    closed_blocks: list[int] | None = None
    frozen_dropout: bool = False
    tie_last_hidden_states: bool | None = True
    logit_temperature: float | int | None = None
    window_seconds: float | int | None = None
    base_checkpoint: str | None = None
    license: str | None = None

    def __post_init__(self, **kwargs):
        self._refuse_misspelt(kwargs)
        if __name__.startswith("exhubert."):
            # only remote code needs the key; the package registers the pipeline itself
            kwargs.pop("custom_pipelines", None)
        given = self.id2label  # type: ignore[has-type]
        if given is None and kwargs.get("num_labels", len(SIX_CLASSES)) == len(SIX_CLASSES):
            self.id2label = dict(enumerate(SIX_CLASSES))
            self.label2id = {name: index for index, name in enumerate(SIX_CLASSES)}
        super().__post_init__(**kwargs)

    def _refuse_misspelt(self, extra_keys):
        known = {*self.__dataclass_fields__, *_ATTRIBUTES}
        for key in extra_keys:
            if key in known or key in _OBSOLETE or key.startswith("_"):
                continue
            if close := difflib.get_close_matches(key, known, n=1, cutoff=0.85):
                raise ValueError(
                    f"ExHuBERTConfig has no key `{key}`; did you mean `{close[0]}`? "
                    "Correct the key, or remove it from config.json."
                )
            logger.warning("ExHuBERTConfig has no key `%s`; it is kept as an attribute but not used.", key)

    def validate_blocks(self):
        """Strict validation: layers come in pairs of a frozen and an adapted copy."""
        if self.num_hidden_layers < 2 or self.num_hidden_layers % 2:
            raise ValueError(
                f"`num_hidden_layers` is {self.num_hidden_layers}, but an ExHuBERT has an even number of layers, at "
                "least 2: a frozen and an adapted copy of each HuBERT layer. For a HuBERT with n layers, pass 2*n."
            )

    def validate_ranges(self):
        """Strict validation: block indices, temperature and probabilities."""
        for field in ("frozen_gate", "closed_blocks"):
            indices = getattr(self, field)
            if isinstance(indices, list) and not set(indices) <= set(range(self.num_blocks)):
                raise ValueError(f"`{field}` is {indices}, but the blocks are 0 to {self.num_blocks - 1}.")
        if self.logit_temperature is not None and not 0 < self.logit_temperature < float("inf"):
            raise ValueError(f"`logit_temperature` is {self.logit_temperature}, expected a number above 0.")
        if not 0 <= self.layerdrop <= 1:
            raise ValueError(f"`layerdrop` is {self.layerdrop}, expected a probability from 0 to 1.")

    def has_frozen_gate(self, block: int) -> bool:
        """Whether a linear layer follows the frozen copy of this block."""
        return self.frozen_gate if isinstance(self.frozen_gate, bool) else block in self.frozen_gate

    def is_closed(self, block: int) -> bool:
        """Whether this block has no adapted copy and no gate."""
        return block in (self.closed_blocks or ())

    @property
    def num_blocks(self) -> int:
        """Number of blocks, equal to the number of layers of the extended HuBERT."""
        return self.num_hidden_layers // 2

    @property
    def samples_per_frame(self) -> int:
        """Minimum number of input samples for one frame, see [`samples_per_frame`]."""
        return samples_per_frame(self)

    @property
    def sees_padding(self) -> bool:
        """Whether padding changes the outputs despite the attention mask, see [`sees_padding`]."""
        return sees_padding(self)


def samples_per_frame(config: HubertConfig) -> int:
    """Minimum number of input samples for one frame: the receptive field of the feature encoder (400 for HuBERT).

    >>> samples_per_frame(HubertConfig())
    400
    """
    samples = 1
    for kernel, stride in zip(reversed(config.conv_kernel), reversed(config.conv_stride), strict=True):
        samples = (samples - 1) * stride + kernel
    return samples


def sees_padding(config: HubertConfig) -> bool:
    """Whether padding changes the outputs despite the attention mask.

    True for HuBERT's group-norm layout (base size): its first convolution normalises over time.
    """
    return getattr(config, "feat_extract_norm", "layer") == "group"


def window_seconds(config: HubertConfig) -> float:
    """Length in seconds of the windows that longer recordings are cut into: that used in training, or 3 s."""
    return getattr(config, "window_seconds", None) or DEFAULT_WINDOW_SECONDS


def logit_temperature(config: HubertConfig) -> float:
    """Divisor of the logits that calibrates probabilities; 1 for an uncalibrated model."""
    return getattr(config, "logit_temperature", None) or 1.0


def is_regression(config: HubertConfig) -> bool:
    """Whether the outputs are numbers, not logits of classes: the problem type is regression, or there is one output.

    >>> is_regression(HubertConfig(num_labels=1)), is_regression(HubertConfig(num_labels=2))
    (True, False)
    """
    return config.problem_type == "regression" or (config.problem_type is None and config.num_labels == 1)


def is_multi_label(config: HubertConfig) -> bool:
    """Whether several classes may hold at once, so that their probabilities don't sum to one."""
    return config.problem_type == "multi_label_classification"


def read_config(source, **options) -> dict[str, Any]:
    """Reads the raw config.json of a folder or hub id, with one error type for all failures.

    Raises:
        OSError: No config.json can be read; the message says what was found instead and what to do.
    """
    path = Path(str(source), options.get("subfolder") or "")
    if path.is_file() or (path.is_dir() and not (path / CONFIG_NAME).is_file()):
        raise OSError(explain_missing(path, CONFIG_NAME))
    try:
        values, _ = HubertConfig.get_config_dict(source, **options)
    except (OSError, ValueError, TypeError) as error:
        if path.is_dir():
            values = None
        else:
            raise OSError(
                f"No config.json could be read from {str(source)!r}: it is neither a folder with one, nor a model in "
                "the local Hub cache, nor a reachable hub id. Check the name; without network, download "
                f"the model elsewhere (`hf download {source}`) and pass the folder. ({type(error).__name__})"
            ) from error
    if not values or not isinstance(values, dict):
        raise OSError(
            f"{path / CONFIG_NAME} isn't the configuration of a model: expected a JSON object with fields such as "
            "model_type. Save or download the model again."
        )
    return values


def explain_missing(source, missing: str) -> str:
    """A sentence for a folder, file or hub id without what a model needs: what it is instead, and what to do."""
    path = Path(source)
    if path.is_file():
        return f"{source} is {_kind_of_file(path)}"
    if not path.is_dir():
        return f"{source} has no {missing}: choose another model, or complete its download."
    names = sorted(child.name for child in path.iterdir() if not child.name.startswith("."))
    archives = [name for name in names if name.lower().endswith(_ARCHIVES)]
    foreign = [name for name in names if name.lower().endswith((".h5", ".msgpack", ".gguf"))]
    depths = ("*", "*/*", "*/*/*")
    inner = next((file.parent for depth in depths for file in sorted(path.glob(f"{depth}/{CONFIG_NAME}"))), None)
    if not names:
        found = "it is empty: pass the folder of a saved model, or a hub id."
    elif "adapter_config.json" in names:
        found = (
            "it holds an adapter (LoRA), which is a part of a model: merge it into its base with peft "
            "(`PeftModel.from_pretrained(BASE, FOLDER).merge_and_unload().save_pretrained(NEW)`), and pass that folder."
        )
    elif "model.onnx" in names:
        found = "it is a model exported for onnxruntime: give the folder it was exported from."
    elif checkpoint := explain_checkpoint(path):
        found = checkpoint
    elif inner and missing == CONFIG_NAME:
        found = f"but {inner} has one: pass that folder."
    elif any(name.startswith("checkpoint-") for name in names):
        found = "it is the folder of an unfinished training run: finish it with `--resume true`."
    elif foreign:
        found = f"it holds {foreign[0]}, but only weights of PyTorch can be read: look for those, or convert it."
    elif archives:
        found = f"it holds the archive {archives[0]}: unpack it, and pass the folder with {CONFIG_NAME} in it."
    else:
        listed = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
        found = f"it holds {listed}: pass a folder written by save_pretrained(), or complete the download."
    return f"{source} has no {missing}; {found}"


def explain_checkpoint(source) -> str:
    """A sentence for the folder of a Trainer's checkpoint, which may lack frozen weights; empty for other folders."""
    path = Path(str(source))
    optimizers = (path / name for name in ("optimizer.pt", "latest"))
    if not (path / "trainer_state.json").is_file() or not any(map(Path.exists, optimizers)):
        return ""
    return (
        "it is a checkpoint of a training run and holds only the trained weights: pass the run's folder, "
        f"{path.parent}, which holds the model when the run is finished."
    )


def _kind_of_file(path: Path) -> str:
    folder = path.absolute().parent  # in the Hub cache, files are links to another folder
    if path.name.lower().endswith(_ARCHIVES):
        return f"an archive: unpack it, and pass the folder with {CONFIG_NAME} in it."
    if (folder / CONFIG_NAME).is_file():
        return f"one file of a model: pass its folder, {folder}."
    if path.suffix.lower() in _WEIGHTS:
        return (
            f"a file of weights without a {CONFIG_NAME}, such as those of fairseq: pass the folder of a model in "
            "transformers' format, written by save_pretrained(), or its hub id."
        )
    return "a file: pass the folder of a saved model, or a hub id."


def is_published_layout(values: Mapping[str, Any]) -> bool:
    """Whether a raw configuration is in the published layout, whose `model_type` is that of a HuBERT."""
    names = [*(values.get("architectures") or []), *(values.get("auto_map") or {}).values()]
    return values.get("model_type") == "hubert" and any(str(name).split(".")[-1] == "ExHuBERT" for name in names)


__all__ = ["SIX_CLASSES", "ExHuBERTConfig"]
