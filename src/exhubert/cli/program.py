"""Runs every command and recipe: errors become a sentence on standard error and an exit code, not a traceback."""

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

INTERRUPTED = 130  # as shells count Ctrl-C
TRACEBACK_VARIABLE = "EXHUBERT_TRACEBACK"


def exit_code(run: Callable[[], int | None], name: str) -> int:
    """Runs a program; prints errors that users can act on as a sentence.

    Args:
        run: The program; returns its exit code, or None for 0.
        name: Name of the program, printed before the sentence.

    Returns:
        The exit code of `run`: 0, or 2 if some recordings couldn't be used. 1 after an error, 130 after Ctrl-C.
    """
    try:
        return run() or 0
    except _expected() as error:
        if (isinstance(error, LookupError) and not _is_ours(error)) or os.environ.get(TRACEBACK_VARIABLE):
            raise
        print(f"{name}: {_sentence(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{name}: stopped.", file=sys.stderr)
        return INTERRUPTED


def _expected() -> tuple[type[Exception], ...]:
    """Errors that users can act on. If safetensors is loaded, its own is one: models are saved on full disks too."""
    safetensors = sys.modules.get("safetensors")
    return (ValueError, RuntimeError, OSError, LookupError, *([safetensors.SafetensorError] if safetensors else []))


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror}. Make room, and run the command again."
    return str(error)


def run_program(run: Callable[[], int | None], name: str | None = None) -> NoReturn:
    """Runs a program and exits, see [`exit_code`]. `name` is by default the name of the script."""
    sys.exit(exit_code(run, name or Path(sys.argv[0]).name))


def _is_ours(error: LookupError) -> bool:
    return type(error).__module__.startswith("exhubert.")


def _excepthook(kind: type[BaseException], error: BaseException, traceback: Any) -> None:
    """Ends in one line after Ctrl-C during the imports of a recipe, which take seconds."""
    if issubclass(kind, KeyboardInterrupt):
        print(f"{Path(sys.argv[0]).name}: stopped.", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, traceback)


sys.excepthook = _excepthook
