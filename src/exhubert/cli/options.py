"""Options shared by several commands, and the search for recordings in the paths on the command line."""

import argparse
import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

UNUSABLE_FILES = 2  # exit code if some recordings couldn't be used
_ENDINGS = "wav flac ogg oga opus mp3 aiff aif aifc au snd caf w64 rf64 sph wv m4a mp4 mov avi mkv webm"
SUFFIXES = tuple(f".{ending}" for ending in _ENDINGS.split(" "))


def add_window_options(command: argparse.ArgumentParser) -> None:
    """Adds the options for cutting recordings into windows, for every command that classifies."""
    command.add_argument("--window_s", type=float, help="window length in s; by default as in training")
    command.add_argument("--hop_s", type=float, help="s from one window to the next; by default the window length")
    command.add_argument(
        "--keep_silence", action="store_true", help="classify silent windows (below -60 dB) and recordings too"
    )


def add_computing_options(command: argparse.ArgumentParser) -> None:
    """Adds the options for precision and CPU kernels, for every command that classifies many recordings."""
    command.add_argument("--dtype", default="float32", choices=["float32", "bfloat16", "float16"])
    command.add_argument(
        "--kernels", default="auto", choices=["auto", "onednn", "torch"], help="CPU kernels; results agree to 1e-5"
    )


def window_settings(options: argparse.Namespace) -> dict[str, Any]:
    """The window options as arguments of `ExHuBERTPipeline`."""
    return {"window_s": options.window_s, "hop_s": options.hop_s, "skip_silence": not options.keep_silence}


def find_recordings(paths: Sequence[str]) -> Iterator[str]:
    """Yields the files among `paths`, those in folders (by file ending, sorted), and those that match patterns.

    Other paths are yielded unchanged, to be reported as missing. Each file comes once; links to folders are not
    followed.
    """
    seen = set()
    for path in paths:
        matches: list[str]
        if Path(path).is_dir():
            matches = sorted(
                str(Path(folder, name))
                for folder, _, names in os.walk(path)
                for name in names
                if Path(name).suffix.lower() in SUFFIXES and not name.startswith("._")
            )
        elif not Path(path).exists() and glob.has_magic(path):
            matches = sorted(glob.glob(path, recursive=True)) or [path]  # noqa: PTH207 (takes absolute patterns)
        else:
            matches = [path]
        for name in matches:
            if name not in seen:
                seen.add(name)
                yield name
