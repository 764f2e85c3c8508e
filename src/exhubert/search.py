"""Finds recordings and other files in folders: which endings recordings have, and which links are followed."""

import fnmatch
import logging
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

# Endings of the formats that soundfile or PyAV read, by their names there. Endings that mostly stand for something else
# are left out (.mat, .mod, .dat, .iff, .htk, pictures); files with these are read if they are named.
ENDINGS: Mapping[str, str] = {
    "WAV": "wav wave", "WAVEX": "wav", "RF64": "rf64", "W64": "w64", "AIFF": "aiff aif aifc afc", "AU": "au snd",
    "CAF": "caf", "FLAC": "flac", "OGG": "ogg oga opus", "MP3": "mp3 mp2 mp1 mpga mpa m2a", "NIST": "sph nist",
    "VOC": "voc", "SVX": "svx 8svx", "AVR": "avr", "PAF": "paf fap", "IRCAM": "sf ircam", "PVF": "pvf", "WVE": "wve",
    "XI": "xi",
    "3gp": "3gp 3gpp 3g2", "aac": "aac adts", "ac3": "ac3", "aiff": "aiff aif aifc afc", "amr": "amr awb", "ape": "ape",
    "asf": "asf wma wmv", "au": "au", "avi": "avi divx", "caf": "caf", "dsf": "dsf", "eac3": "eac3 ec3", "flac": "flac",
    "flv": "flv", "m4a": "m4a m4b m4p m4r", "matroska": "mkv mka mk3d", "mov": "mov qt", "mp3": "mp3 mp2 mpa m2a",
    "mp4": "mp4 m4v f4v f4a ism isma ismv psp", "mpeg": "mpg mpeg vob m2p", "mpegts": "ts m2t m2ts mts", "mxf": "mxf",
    "nistsphere": "sph nist", "nut": "nut", "ogg": "ogg oga ogv ogx opus spx", "rm": "rm ra rmvb", "shn": "shn",
    "tak": "tak", "tta": "tta", "voc": "voc", "w64": "w64", "wav": "wav wave", "webm": "webm weba", "wv": "wv",
}  # fmt: skip
SUFFIXES = tuple(sorted({f".{ending}" for endings in ENDINGS.values() for ending in endings.split()}))
# Endings that soundfile can't read; capital letters are its names of formats.
NEEDS_PYAV = frozenset(SUFFIXES) - {
    f".{ending}" for name, endings in ENDINGS.items() if name.isupper() for ending in endings.split()
}


def _suffixes(endings: str) -> frozenset[str]:
    return frozenset(f".{ending}" for ending in endings.split())


# Containers for pictures with sound.
VIDEOS = _suffixes(
    "avi divx asf wmv flv f4v mkv mk3d mov qt mp4 m4v ism isma ismv psp mpg mpeg vob m2p ts m2t m2ts mts mxf nut ogv "
    "rm rmvb webm 3gp 3gpp 3g2"
)
# Containers for sound that nothing was left out of, as a rule.
LOSSLESS = _suffixes("wav wave rf64 w64 aiff aif au snd caf flac sph nist ape shn tak tta wv")
# Recordings that neither library reads, or only if it is told their rate and encoding.
_UNREADABLE = {
    *(".raw", ".pcm", ".sln", ".ul", ".ulaw", ".al", ".alaw", ".vox", ".gsm", ".g722", ".g729"),
    *(".dts", ".dtshd", ".mlp", ".thd", ".mpc", ".dff", ".mid", ".midi", ".sds", ".sd2"),
}
_PACKET = 188  # bytes in an MPEG transport stream


def is_recording(path: Path) -> bool:
    """Whether a file's ending, in either case, is one that recordings have; a `.ts` must not be TypeScript."""
    suffix = path.suffix.lower()
    if suffix == ".ts":
        try:
            with path.open("rb") as file:
                return file.read(_PACKET + 1)[::_PACKET] == b"GG"  # a packet starts with G
        except OSError:
            return True  # reading it gives the reason
    return suffix in SUFFIXES


def recordings_in(folder: Path, skipped: Counter[str] | None = None) -> Iterator[Path]:
    """Yields the recordings below a folder, see [`files_in`].

    Args:
        folder: The folder.
        skipped: Gets the number of files of each ending that looks like a recording but can't be read.
    """
    for path in files_in(folder):
        if is_recording(path):
            yield path
        elif skipped is not None and path.suffix.lower() in _UNREADABLE:
            skipped[path.suffix.lower()] += 1


def files_in(root: Path, pattern: str = "*") -> Iterator[Path]:
    """Yields the files below a folder, sorted within each folder, without what macOS adds to archives.

    Links to folders are followed, after all real folders were read. No folder is read twice, and a link to a folder
    that contains the link or `root` isn't followed.

    Args:
        root: The folder.
        pattern: What the end of a path has to match, such as `*.txt` or `labels/*.txt`.
    """
    depth = pattern.count("/")
    for folder, names in _folders(root):
        parents = folder.parts[-depth:] if depth else ()
        for name in sorted(names):
            if not name.startswith("._") and fnmatch.fnmatchcase("/".join([*parents, name]), pattern):
                yield folder / name


def _folders(root: Path) -> Iterator[tuple[Path, list[str]]]:
    """Yields each folder with the names of its files."""
    seen: set[tuple[int, int]] = set()
    waiting = [root]
    for top in waiting:  # grows as links are found
        for name, folders, names in os.walk(top, onerror=_warn):  # takes a fraction of the time of rglob
            folder = Path(name)
            status = folder.stat()
            if (status.st_dev, status.st_ino) in seen:
                folders.clear()
                continue
            seen.add((status.st_dev, status.st_ino))
            folders[:] = sorted(name for name in folders if name != "__MACOSX")
            links = [folder / name for name in folders if (folder / name).is_symlink()]
            waiting += [link for link in links if not _contains(link, folder) and not _contains(link, root)]
            yield folder, names


def _warn(error: OSError) -> None:
    logging.getLogger(__name__).warning("%s can't be searched (%s).", error.filename, error.strerror)


def _contains(folder: Path, path: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())
