"""Options that several commands share, and the search for recordings in what a user names."""

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
    """The options that say how recordings are cut into windows, for every command that classifies."""
    command.add_argument("--window_s", type=float, help="length of a window in s; by default that of the training")
    command.add_argument("--hop_s", type=float, help="s from one window to the next; by default a window")
    command.add_argument("--keep_silence", action="store_true", help="classify silent windows (below -60 dB) too")


def add_computing_options(command: argparse.ArgumentParser) -> None:
    """The options that say how to compute, for every command that classifies many recordings."""
    command.add_argument("--dtype", default="float32", choices=["float32", "bfloat16", "float16"])
    command.add_argument(
        "--kernels", default="auto", choices=["auto", "onednn", "torch"], help="of a processor; results equal to 1e-5"
    )


def window_settings(options: argparse.Namespace) -> dict[str, Any]:
    """What those options mean to `ExHuBERTPipeline`."""
    return {"window_s": options.window_s, "hop_s": options.hop_s, "skip_silence": not options.keep_silence}


def find_recordings(paths: Sequence[str]) -> Iterator[str]:
    """The files among `paths`, those in folders below them (by their ending, in order), and those that patterns match.

    A path that is neither is given back as it is, to be reported as missing. Nothing comes twice; links to folders are
    not followed.
    """
    seen = set()
    for path in paths:
        found: list[str]
        if Path(path).is_dir():
            found = sorted(
                str(Path(folder, name))
                for folder, _, names in os.walk(path)
                for name in names
                if Path(name).suffix.lower() in SUFFIXES and not name.startswith("._")
            )
        elif not Path(path).exists() and glob.has_magic(path):
            found = sorted(glob.glob(path, recursive=True)) or [path]  # noqa: PTH207 (takes absolute patterns)
        else:
            found = [path]
        for name in found:
            if name not in seen:
                seen.add(name)
                yield name
