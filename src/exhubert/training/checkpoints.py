"""Checkpoints of a training run: finds the one to resume from, and keeps runs from sharing a folder."""

import shutil
import zipfile
from collections.abc import Iterable
from pathlib import Path

from safetensors import SafetensorError, safe_open
from transformers.utils import logging

from ..files import read_json, write_json
from ..records import Run
from ..targets import check_target, entries, has_keys

_LOGS = (".log", ".out", ".err")
logger = logging.get_logger(__name__)


def last_complete_checkpoint(folder: str | Path) -> str | None:
    """The newest complete checkpoint in a run's folder; transformers' own search doesn't check completeness."""
    for path in sorted(_checkpoints(folder), key=lambda path: int(path.name.split("-")[-1]), reverse=True):
        if _is_complete(path):
            return str(path)
        logger.warning("%s is incomplete or damaged and is skipped.", path)
    return None


def refuse_used_folder(folder: str | Path) -> None:
    """Raises if a folder holds checkpoints of another run, which a later `--resume` would take for this run's.

    Raises:
        ValueError: The folder holds checkpoints; the message says what to do.
    """
    if checkpoints := _checkpoints(folder):
        raise ValueError(
            f"{folder} holds {len(checkpoints)} checkpoints of an earlier run. Continue it with --resume true, choose "
            "another --output_dir, or delete that folder."
        )


def check_run_folder(option: str, folder: str | Path, sources: Iterable[str | Path]) -> None:
    """Raises `TargetError` unless a run can write into a folder without loss: a new or empty one, or that of a run.

    Logs may be there already, since shells open them before the program starts.
    """
    check_target(option, folder, sources, own=_is_run, folder=True)


def _is_run(folder: Path) -> bool:
    """Whether a folder holds a run of ours, finished or not, or nothing but logs."""
    return (
        has_keys(folder / "settings.json", "model", "data", "training")
        or has_keys(folder / Run.file, "model", "data")
        or all(path.suffix in _LOGS and path.is_file() for path in entries(folder))
    )


def remove_checkpoints(folder: str | Path) -> None:
    """Deletes the checkpoints of a run, and nothing else in its folder."""
    for path in _checkpoints(folder):
        shutil.rmtree(path)


def _checkpoints(folder: str | Path) -> list[Path]:
    return [path for path in Path(folder).glob("checkpoint-*") if path.name.split("-")[-1].isdigit()]


def _is_complete(checkpoint: Path) -> bool:
    """Whether every file that a resumed run reads exists and can be opened."""
    try:
        read_json(checkpoint / "trainer_state.json")
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
    """Files with the optimizer state, as saved by the Trainer, DeepSpeed or FSDP."""
    if (latest := checkpoint / "latest").exists():
        folder = checkpoint / latest.read_text(encoding="utf-8").strip()
        return [*folder.glob("*.pt")] or [folder]
    if (optimizer := checkpoint / "optimizer.bin").exists():
        return [optimizer, checkpoint / "pytorch_model_fsdp.bin"]
    return [checkpoint / "optimizer.pt"]


def find_best_again(checkpoint: Path, folder: Path) -> None:
    """Updates the path of the best checkpoint in `trainer_state.json` if the run's folder was moved."""
    path = checkpoint / "trainer_state.json"
    state = read_json(path)
    if best := state.get("best_model_checkpoint"):
        moved = folder / Path(best).name
        if moved.is_dir() and moved != Path(best):
            write_json(path, state | {"best_model_checkpoint": str(moved)})
