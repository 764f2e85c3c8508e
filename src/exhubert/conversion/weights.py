"""The weight files of a checkpoint: finds them, checks that they are whole, and reads them without unpickling code."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from transformers.utils import (
    SAFE_WEIGHTS_INDEX_NAME,
    SAFE_WEIGHTS_NAME,
    WEIGHTS_INDEX_NAME,
    WEIGHTS_NAME,
    cached_file,
    logging,
)

from ..configuration_exhubert import explain_missing

logger = logging.get_logger(__name__)

# in transformers' order of preference
_NAMES = (SAFE_WEIGHTS_NAME, SAFE_WEIGHTS_INDEX_NAME, WEIGHTS_NAME, WEIGHTS_INDEX_NAME)
_LFS_POINTER = b"version https://git-lfs"


def check_weights(source: Any, values: Mapping[str, Any], dtype: torch.dtype) -> None:
    """Checks the weight files of a checkpoint before it is loaded, and says once if it will be converted.

    Args:
        source: Folder or hub id.
        values: Content of its config.json.
        dtype: Precision in which the model will compute.

    Raises:
        ValueError: The weights are quantised.
        OSError: A weight file is missing, damaged, or can't be downloaded.
    """
    stored = {value.dtype for file in weight_files(source) for value in _read(file, "meta").values()}
    quantised = values.get("quantization_config") or {}
    if quantised or any(each.itemsize == 1 and each != torch.bool for each in stored):
        method = quantised.get("quant_method", "by an unknown method") if isinstance(quantised, Mapping) else quantised
        raise ValueError(
            f"{source} holds quantised weights ({method}), which can't be extended, trained or converted: give the "
            "model it was quantised from, in float32, float16 or bfloat16."
        )
    others = {_name(each) for each in stored if each.is_floating_point and each != dtype}
    if others:
        logger.warning_once(f"{source} is stored in {' and '.join(sorted(others))}; it is loaded in {_name(dtype)}.")


def read_weights(source: Any, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """Reads all tensors of a checkpoint, sharded or not, with floating-point ones converted to `dtype`.

    Raises:
        OSError: As in [`check_weights`].
    """
    state = {key: value for file in weight_files(source) for key, value in _read(file, "cpu").items()}
    return {key: value.to(dtype) if value.is_floating_point() else value for key, value in state.items()}


def weight_files(source: Any) -> list[Path]:
    """The files with a checkpoint's weights, in safetensors or pickle; downloads those of a hub id.

    Raises:
        OSError: There are none, or a shard is missing; the message says what was found instead.
    """
    for name in _NAMES:
        if found := _located(source, name):
            return _shards(source, found) if name.endswith(".index.json") else [found]
    raise OSError(explain_missing(source, "weights (model.safetensors or pytorch_model.bin)"))


def _located(source: Any, name: str) -> Path | None:
    quiet = {"_raise_exceptions_for_missing_entries": False, "_raise_exceptions_for_connection_errors": False}
    path = cached_file(source, name, **quiet)
    return Path(path) if path else None


def _shards(source: Any, index: Path) -> list[Path]:
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise OSError(f"{index} isn't an index of weights: download or save the model again.") from error
    files = {name: _located(source, name) for name in names}
    if missing := [name for name, file in files.items() if file is None]:
        raise OSError(f"{source} lacks {', '.join(missing)}, which {index.name} lists: complete the download.")
    return [file for file in files.values() if file is not None]


def _read(path: Path, device: str) -> dict[str, torch.Tensor]:
    """The tensors of a file, without their content on device `meta`."""
    with path.open("rb") as stream:
        if stream.read(len(_LFS_POINTER)) == _LFS_POINTER:
            raise OSError(f"{path} is a pointer of Git LFS, not the weights: fetch them with `git lfs pull`.")
    if path.suffix == ".safetensors":
        return _read_safetensors(path, device)
    try:
        state = torch.load(path, map_location=device, weights_only=True)
        if not all(isinstance(value, torch.Tensor) for value in state.values()):
            raise ValueError("it holds other values than tensors")
        return state
    except Exception as error:  # torch raises its own pickle, zip and runtime errors
        raise OSError(
            f"{path} can't be read as a plain dictionary of tensors, and nothing else is unpickled. "
            f"({type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'empty'})"
        ) from error


def _read_safetensors(path: Path, device: str) -> dict[str, torch.Tensor]:
    try:
        with safe_open(path, "pt", device="cpu") as file:
            # of a mapped file, only what is used is read
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dictionary)
            return {key: value.to(device) for key, value in tensors.items()}
    except SafetensorError as error:
        raise OSError(f"{path} is damaged or its download is incomplete. ({error})") from error


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
