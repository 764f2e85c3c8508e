"""Options shared by several commands, and the search for recordings in the paths on the command line."""

import argparse
import glob
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..search import recordings_in

UNUSABLE_FILES = 2  # exit code if some recordings couldn't be used


def add_channel_option(command: argparse.ArgumentParser) -> None:
    """Adds `--channels` for every command that classifies; the option is `channel`, as in `predict_files`."""
    command.add_argument(
        "--channels",
        dest="channel",
        type=_channel,
        metavar="{mix,each,N}",
        help="mix all channels (the default), classify each by itself, such as the speakers of a call, or only channel "
        "N, counted from 0",
    )


def _channel(text: str) -> int | str | None:
    if text not in ("mix", "each") and not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r}; expected mix, each, or the number of a channel, from 0")
    return {"mix": None, "each": "each"}[text] if text in ("mix", "each") else int(text)


def add_window_options(command: argparse.ArgumentParser) -> None:
    """Adds the options for cutting recordings into windows, for every command that classifies."""
    command.add_argument("--window_s", type=float, help="window length in s; by default as in training")
    command.add_argument("--hop_s", type=float, help="s from one window to the next; by default the window length")
    command.add_argument(
        "--keep_silence", action="store_true", help="classify silent windows (below -60 dB) and recordings too"
    )


def add_recording_options(command: argparse.ArgumentParser) -> None:
    """Adds the options for how recordings are heard, for every command that classifies recordings."""
    command.add_argument(
        "--timeline", action="store_true", help="the emotion of each window, not only of the whole recording"
    )
    add_window_options(command)
    add_channel_option(command)
    command.add_argument("--batch_size", type=int, default=1, help="windows per batch; only affects speed")


def add_computing_options(command: argparse.ArgumentParser) -> None:
    """Adds the options for precision and CPU kernels, for every command that classifies many recordings."""
    command.add_argument("--dtype", default="float32", choices=["float32", "bfloat16", "float16"])
    command.add_argument(
        "--kernels", default="auto", choices=["auto", "onednn", "torch"], help="CPU kernels; results agree to 1e-5"
    )


def window_settings(options: argparse.Namespace) -> dict[str, Any]:
    """The window options as arguments of `ExHuBERTPipeline`."""
    return {"window_s": options.window_s, "hop_s": options.hop_s, "skip_silence": not options.keep_silence}


def find_recordings(paths: Sequence[str], skipped: Counter[str] | None = None) -> Iterator[str]:
    """Yields the files among `paths`, those in folders (by file ending, sorted), and those that match patterns.

    Other paths are yielded unchanged, to be reported as missing. Each file comes once.

    Args:
        paths: Files, folders and patterns.
        skipped: Gets the number of files in folders that look like recordings but can't be read, by ending.
    """
    seen = set()
    for path in paths:
        matches: list[str]
        if Path(path).is_dir():
            matches = sorted(map(str, recordings_in(Path(path), skipped)))
        elif not Path(path).exists() and glob.has_magic(path):
            matches = sorted(glob.glob(path, recursive=True)) or [path]  # noqa: PTH207 (takes absolute patterns)
        else:
            matches = [path]
        for name in matches:
            if name not in seen:
                seen.add(name)
                yield name


def report_skipped(skipped: Counter[str]) -> None:
    """Prints how many files of which ending [`find_recordings`] skipped, if any."""
    if skipped:
        endings = ", ".join(f"{ending} ({count})" for ending, count in sorted(skipped.items()))
        print(
            f"exhubert: files skipped because their endings stand for sound that isn't read: {endings}. Convert them "
            "to wav.",
            file=sys.stderr,
        )
