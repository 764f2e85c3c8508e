"""Checkpoints of a run: which one a resumed run continues from, and what a used folder may not be used for."""

import json
import zipfile
from pathlib import Path

from safetensors import SafetensorError, safe_open
from transformers.utils import logging

from ..files import read_json, write_json

logger = logging.get_logger(__name__)


def last_complete_checkpoint(folder: str | Path) -> str | None:
    """The newest checkpoint in a run's folder that was written to its end; transformers' own search only counts."""
    for path in sorted(_checkpoints(folder), key=lambda path: int(path.name.split("-")[-1]), reverse=True):
        if _is_complete(path):
            return str(path)
        logger.warning("%s is incomplete or damaged and is passed over.", path)
    return None


def refuse_used_folder(folder: str | Path) -> None:
    """Raises where a folder holds the checkpoints of another run, which a later `--resume` would take for this one's.

    Raises:
        ValueError: It does; the message says what to do.
    """
    if found := _checkpoints(folder):
        raise ValueError(
            f"{folder} holds {len(found)} checkpoints of an earlier run. Go on with it by --resume true, or give "
            "another --output_dir, or delete that folder."
        )


def _checkpoints(folder: str | Path) -> list[Path]:
    return [path for path in Path(folder).glob("checkpoint-*") if path.name.split("-")[-1].isdigit()]


def _is_complete(checkpoint: Path) -> bool:
    """Whether everything a resumed run reads is there and can be opened."""
    try:
        json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
        for path in (checkpoint / "scheduler.pt", *_optimizer_files(checkpoint)):
            with zipfile.ZipFile(path) as archive:
                if archive.testzip():
                    return False
        weights = list(checkpoint.glob("*.safetensors"))
        for path in weights:
            with safe_open(path, "pt") as file:
                file.keys()
        return bool(weights) and any(checkpoint.glob("rng_state*.pth"))
    except (OSError, ValueError, SafetensorError, zipfile.BadZipFile):
        return False


def _optimizer_files(checkpoint: Path) -> list[Path]:
    """The files an optimizer is resumed from: the Trainer's own, DeepSpeed's or FSDP's."""
    if (latest := checkpoint / "latest").exists():
        folder = checkpoint / latest.read_text(encoding="utf-8").strip()
        return [*folder.glob("*.pt")] or [folder]
    if (optimizer := checkpoint / "optimizer.bin").exists():
        return [optimizer, checkpoint / "pytorch_model_fsdp.bin"]
    return [checkpoint / "optimizer.pt"]


def find_best_again(checkpoint: Path, folder: Path) -> None:
    """Points the state of a run whose folder was moved to where its best checkpoint is now."""
    path = checkpoint / "trainer_state.json"
    state = read_json(path)
    if best := state.get("best_model_checkpoint"):
        found = folder / Path(best).name
        if found.is_dir() and found != Path(best):
            write_json(path, state | {"best_model_checkpoint": str(found)})
