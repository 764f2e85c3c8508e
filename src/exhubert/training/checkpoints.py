"""Checkpoints of a training run: finds the one to resume from, and keeps runs from sharing a folder."""

import itertools
import os
import re
import shutil
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from transformers import TrainerState
from transformers.utils import logging

from ..files import read_json, write_json
from ..records import Run
from ..targets import check_target, entries, has_keys

_LOGS = (".log", ".out", ".err")
_NAME = re.compile(r"checkpoint-\d+")  # not `checkpoint-best-30`, a copy that must stay
logger = logging.get_logger(__name__)


def last_complete_checkpoint(folder: str | Path, needs_best: bool = False) -> str | None:
    """The newest complete checkpoint in a run's folder; transformers' own search doesn't check completeness.

    Newer ones that are incomplete or damaged are passed over and left as they are; one notice says which and why.

    Args:
        folder: Of the run.
        needs_best: Whether the weights of the best checkpoint so far must be whole too, because the run may end with
            them. If that checkpoint is gone, it was deleted for a better one, which the resumed run finds again.
    """
    found, notices = None, []
    for path in sorted(_checkpoints(folder), key=_step, reverse=True):
        problem = problem_of(path, needs_best)
        if problem is None:
            found = str(path)
            break
        notices.append(f"{path} is incomplete or damaged: {problem}")
    if notices:
        logger.warning("Passed over: %s.", "; ".join(notices))
    return found


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
    return [path for path in Path(folder).glob("checkpoint-*") if _NAME.fullmatch(path.name)]


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.split("-")[-1])


def problem_of(checkpoint: Path, needs_best: bool = False) -> str | None:
    """What is wrong with a checkpoint: the first file that a resumed run couldn't read; None if it is complete.

    With `needs_best`, the weights of the best checkpoint so far are among those files, if they are still there.

    Nothing is unpickled: torch saves zip archives, which hold checksums.
    """
    try:
        if not checkpoint.is_dir():
            return "it isn't a folder"
        if not _is_state(read_json(checkpoint / "trainer_state.json"), _step(checkpoint)):
            return f"trainer_state.json isn't the state of a run at step {_step(checkpoint)}"
        random_states = sorted(checkpoint.glob("rng_state*.pth")) or [checkpoint / "rng_state.pth"]
        scaler = checkpoint.glob("scaler.pt")
        for path in (checkpoint / "scheduler.pt", *_optimizer_files(checkpoint), *random_states, *scaler):
            if problem := _problem_of_archive(path):
                return problem
        return _problem_of_weights(checkpoint) or (_problem_of_best(checkpoint) if needs_best else None)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        return str(error).rstrip(".")


def _is_state(values: Any, step: int) -> bool:
    """Whether the content of a `trainer_state.json` is the state of a Trainer at this step."""
    try:
        state = TrainerState(**values)
    except TypeError:
        return False
    types = isinstance(state.log_history, list) and isinstance(state.stateful_callbacks, dict)
    return types and state.global_step == step


def _problem_of_archive(path: Path) -> str | None:
    if not path.is_file():
        return f"{path.name} is missing"
    try:
        with zipfile.ZipFile(path) as archive:
            return f"{path.name} is damaged" if archive.testzip() else None
    except (zipfile.BadZipFile, EOFError, zlib.error, NotImplementedError):
        return f"{path.name} is cut off or damaged" if path.stat().st_size else f"{path.name} is empty"


def _problem_of_weights(checkpoint: Path) -> str | None:
    weights = sorted(checkpoint.glob("*.safetensors"))
    for path in weights:
        try:
            with safe_open(path, "pt") as file:
                file.keys()
        except SafetensorError:
            return f"{path.name} is cut off or damaged"
    for index in checkpoint.glob("*.safetensors.index.json"):
        if missing := set(read_json(index)["weight_map"].values()) - {path.name for path in weights}:
            return f"{sorted(missing)[0]} is missing"
    return None if weights else "its weights are missing"


def _problem_of_best(checkpoint: Path) -> str | None:
    """What is wrong with the weights of the best checkpoint so far, which a resumed run loads at its end."""
    best = read_json(checkpoint / "trainer_state.json").get("best_model_checkpoint")
    if not best:
        return None
    path = next((path for path in (checkpoint.parent / Path(best).name, Path(best)) if path.is_dir()), None)
    problem = path and _problem_of_weights(path)
    return f"the best checkpoint so far, {Path(best).name}, can't be read ({problem})" if problem else None


def make_way(path: Path) -> None:
    """Renames what stands in the place of a checkpoint that is to be written and isn't a folder."""
    if os.path.lexists(path) and not path.is_dir():
        aside = next(aside for number in itertools.count(1) if not (aside := Path(f"{path}.moved-{number}")).exists())
        path.rename(aside)
        logger.warning("%s isn't a checkpoint; it is %s now, as a checkpoint is written there.", path, aside)


def rotate(folder: Path, limit: int | None, kept: Collection[str | None], complete: Callable[[Path], bool]) -> None:
    """Deletes the oldest complete checkpoints until `limit` are left, always keeping the newest and those in `kept`.

    transformers deletes any folder whose name begins with `checkpoint-`, and counts incomplete ones too, so that in the
    end no complete checkpoint might be left.
    """
    paths = sorted((path for path in _checkpoints(folder) if path.is_dir() and complete(path)), key=_step)
    protected = {Path(path).name for path in kept if path} | {path.name for path in paths[-1:]}
    surplus = len(paths) - max(limit or len(paths), len(protected))
    for path in [path for path in paths if path.name not in protected][: max(0, surplus)]:
        shutil.rmtree(path, ignore_errors=True)


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
