"""Finds corpora on disk, below one folder or from a YAML file that names their folders."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml

from .catalog import EMOSET, Places, catalog, emoset_plus_plus, entry, use_catalog
from .catalog.corpus_names import corpus_of_name, slug
from .hub_dataset import HUB, local_folder
from .readers import Match, has_emotion_folders, matches, own_form, recognise, told_corpus
from .readers.by_name import NOT_SPEECH
from .readers.columns import PARTITIONS
from .readers.manifest import possible_tables
from .readers.own import HUGGING_FACE, TABLE
from .readers.recognition import recordings

ROOT_VARIABLE = "EXHUBERT_CORPORA"


_NAMED_FIT = 0.25  # share of the recordings that must fit in a folder that bears the name of the corpus
_NAMELESS = "its name has no letter that could name a corpus; rename it, or name it with --corpus NAME=FOLDER"
_UNKNOWN = "no known layout; to use it, put a manifest.csv there (file,label,speaker)"
_BY_EMOTIONS = "its folders are named by emotions"


@dataclass(frozen=True)
class Sources:
    """The corpora on disk.

    Attributes:
        found: Folder of each corpus, by id.
        unknown: Folders that weren't taken for any corpus.
        certainty: How sure each corpus is, by id: `named` in a YAML file; `manifest`, if its folder has one; `certain`,
            if its recordings fit the corpus, and their number or the folder's name does, too; `likely` otherwise, such
            as a part of a corpus under a strange name.
        reasons: For each folder, found or unknown, the sentence that tells why.
    """

    found: dict[str, Path]
    unknown: list[Path]
    certainty: dict[str, str] = field(default_factory=dict)
    reasons: dict[Path, str] = field(default_factory=dict)

    @property
    def doubtful(self) -> list[Path]:
        """The unknown folders that may be a corpus, by their name or contents."""
        return [folder for folder in self.unknown if self.reasons[folder] != _UNKNOWN]

    def without(self, named: Mapping[str, str | Path]) -> "Sources":
        """Returns the sources without the corpora and folders that a user has named otherwise."""
        taken = {Path(folder).resolve() for folder in named.values()}
        found = {
            corpus: folder
            for corpus, folder in self.found.items()
            if corpus not in named and folder.resolve() not in taken
        }
        return replace(self, found=found, unknown=[path for path in self.unknown if path.resolve() not in taken])


def find_corpora(
    place: str | Path | None = None, corpora: Sequence[str] | None = None, catalog: Places | None = None
) -> Sources:
    """Finds corpora on disk.

    In a folder, a sub-folder is a corpus if it holds a manifest or a Hugging Face dataset (your own corpus, named after
    the folder, or one of the catalog), or if nine in ten of its recordings have the names, speakers and labels of
    exactly one corpus; a quarter are enough if the folder's name is an id or name of the catalog (`emo_db`, `EMO-DB`,
    `CREMA-D`). The folder may also be a single corpus itself. Two folders that hold the same corpus are both set aside.

    Args:
        place: A folder; or a YAML file with `corpus id: folder` lines, relative to the file. Defaults to the
            environment variable EXHUBERT_CORPORA.
        corpora: Return only these corpora; a missing one is an error. `emoset++` means those of the paper's 37 that are
            there, and none beyond them.
        catalog: Folders with YAML files of corpora of your own, see `exhubert.emoset.catalog.catalog`.

    Raises:
        ValueError: No place is given, or the YAML isn't a map of ids to folders.
        FileNotFoundError: The place or a requested corpus doesn't exist.
        KeyError: A requested corpus is neither in the catalog nor among the folders.
    """
    place = place or os.environ.get(ROOT_VARIABLE)
    if not place:
        raise ValueError(f"Where are the corpora? Give --root FOLDER, or set {ROOT_VARIABLE}.")
    place = Path(place).expanduser()
    if not place.exists():
        raise FileNotFoundError(f"{place}: there is no such folder or file.")
    if _is_archive(place):
        raise ValueError(f"{place} is an archive: unpack it, and give the folder.")
    with use_catalog(catalog):
        return _find(place, corpora)


def _find(place: Path, corpora: Sequence[str] | None) -> Sources:
    sources = _from_file(place) if place.is_file() else _from_folder(place)
    archives = [path.name for path in sorted(place.glob("*")) if _is_archive(path)]
    if archives and not sources.found:
        raise ValueError(f"{place} holds no corpus but {', '.join(archives)}: unpack each into a folder of its own.")
    if corpora is None:
        return sources
    wanted = [corpus for corpus in corpora if corpus.lower() != EMOSET]
    if len(wanted) < len(corpora):
        present = [corpus for corpus in emoset_plus_plus() if corpus in sources.found]
        if not present:
            names = ", ".join(sources.found) or "no corpus"
            raise FileNotFoundError(f"{place} holds {names}, but none of the 37 corpora of EmoSet++.")
        wanted = list(dict.fromkeys([*wanted, *present]))
    for corpus in wanted:
        if corpus not in sources.found:
            facts = entry(corpus)  # raises `UnknownCorpusError` for an unknown id
            names = ", ".join(sources.found) or "no corpus"
            reasons = {folder: sources.reasons[folder] for folder in sources.unknown}
            near = [f"{folder}: {reason}" for folder, reason in reasons.items() if facts.name in reason]
            raise FileNotFoundError("\n".join([f"{place} holds {names}, but not {corpus}.", *near]))
    found = {corpus: sources.found[corpus] for corpus in wanted}
    return replace(sources, found=found)


def _from_file(path: Path) -> Sources:
    content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    if not isinstance(content, Mapping) or not all(isinstance(folder, str) for folder in content.values()):
        raise ValueError(f"{path}: expected `corpus id: folder` lines.")
    found = {
        str(corpus): local_folder(folder) if folder.startswith(HUB) else path.parent / Path(folder).expanduser()
        for corpus, folder in content.items()
    }
    reasons = dict.fromkeys(found.values(), f"named in {path}")
    return Sources(found, [], dict.fromkeys(found, "named"), reasons)


def _from_folder(root: Path) -> Sources:
    folders = [path for path in sorted(root.iterdir()) if path.is_dir() and not path.name.startswith(".")]
    folders = [path for path in folders if not NOT_SPEECH.fullmatch(path.name) or own_form(path)]
    form = own_form(root)
    if ((form and form.whole) or _is_one_dataset(root, folders)) and (claim := _identify(root)).corpus:
        return Sources({claim.corpus: root}, [], {claim.corpus: claim.certainty}, {root: claim.reason})
    of_partitions = [path for path in folders if path.name.lower() in (*PARTITIONS, "data")]
    if of_partitions and (form not in (None, HUGGING_FACE) or has_emotion_folders(root)):  # of one corpus
        folders = [path for path in folders if path not in of_partitions]
    # a link beside its target is no second folder
    folders = list({path.resolve(): path for path in reversed(folders)}.values())
    claims = {folder: _identify(folder) for folder in reversed(folders)}
    owners: dict[str, list[Path]] = {}
    for folder, claim in claims.items():
        if claim.corpus:
            owners.setdefault(claim.corpus, []).append(folder)
    several = {corpus: claimants for corpus, claimants in owners.items() if len(claimants) > 1}
    parts = [corpus for corpus, claimants in several.items() if _are_parts(corpus, claimants)]
    misnamed = any(_named(folder) and not claim.corpus for folder, claim in claims.items())
    # CASIA's speakers have such folders, too
    sure = [
        corpus for corpus, claimants in owners.items() if any(claims[path].reason != _BY_EMOTIONS for path in claimants)
    ]
    if (sure == parts or _has_small_parts(sure, claims)) and not misnamed:
        itself = _identify(root)
        if itself.corpus and itself.corpus in (sure or [itself.corpus]):
            return Sources({itself.corpus: root}, [], {itself.corpus: itself.certainty}, {root: itself.reason})
        if not owners and itself.reason != _UNKNOWN:
            claims[root] = itself
    found = {corpus: claimants[0] for corpus, claimants in owners.items() if corpus not in several}
    reasons = {folder: claim.reason for folder, claim in claims.items()}
    for corpus, claimants in several.items():
        for folder in claimants:
            rest = [str(other) for other in claimants if other != folder]
            others = " and ".join(rest if len(rest) < 5 else [*rest[:3], f"{len(rest) - 3} more"])
            what = f"set aside, because it and {others} are {'parts of' if corpus in parts else 'both'} {_name(corpus)}"
            how = (
                "put them into one folder" if corpus in parts else f"keep one, or name one: --corpus {corpus}={folder}"
            )
            reasons[folder] = f"{what} ({claims[folder].reason}); {how}"
    taken = set(found.values())
    return Sources(
        found,
        [folder for folder in claims if folder not in taken],
        {corpus: claims[folder].certainty for corpus, folder in found.items()},
        reasons,
    )


def _is_one_dataset(root: Path, folders: Sequence[Path]) -> bool:
    """Whether the folders below one are parts of a Hugging Face dataset, not corpora of their own."""
    from .readers.dataset_files import first_table, holds_parts  # needs pyarrow, which is slow to import
    from .readers.huggingface import is_dataset

    if not is_dataset(root) or not holds_parts(root):
        return False
    return not any(_named(folder) or (not first_table(folder) and own_form(folder)) for folder in folders)


def _are_parts(corpus: str, folders: Sequence[Path]) -> bool:
    """Whether folders hold different recordings of one corpus, such as its speakers or labels, not copies of it."""
    names = [path.name for folder in folders for path in recordings(folder)]
    return len(set(names)) == len(names) and not any(map(own_form, folders))


def _has_small_parts(corpora: Sequence[str], claims: Mapping[Path, "_Claim"]) -> bool:
    """Whether one corpus is all that was recognised, in folders without its name, and others may be parts of it."""
    of_corpus = [folder for folder, claim in claims.items() if claim.corpus in corpora]
    doubtful = [folder for folder, claim in claims.items() if not claim.corpus and claim.reason != _UNKNOWN]
    if len(corpora) != 1 or not doubtful or any(map(_named, of_corpus)):
        return False
    return _are_parts(corpora[0], [*of_corpus, *doubtful])


@dataclass(frozen=True)
class _Claim:
    """What one folder holds; `corpus` is empty if that can't be told."""

    corpus: str
    certainty: str
    reason: str


def _identify(folder: Path) -> _Claim:
    named = _named(folder)
    if form := own_form(folder):
        named = named or told_corpus(form, folder)
        if form is TABLE and not named and (known := recognise(folder)):  # whose labels it may have
            return _Claim(known, "manifest", f"it has {form.name} with the names of {_name(known)}")
        return _own_claim(folder, named, "manifest", f"it has {form.name}")
    if named and not entry(named).has_own_layout:  # such names are everyday words: demo, ad, abc
        named = None
    results = matches(folder)
    fitting = [match for match in results if match.fits]
    # the name decides between entries with the same pattern, such as one of your own for a corpus of the package
    fitting = [match for match in fitting if match.corpus == named] or fitting
    if len(fitting) == 1 and named in (None, fitting[0].corpus):
        match = fitting[0]
        return _Claim(match.corpus, "certain" if named or match.whole else "likely", str(match))
    own = next((match for match in results if match.corpus == named), None)
    if own and not fitting and own.share >= _NAMED_FIT and own.utterances:
        return _Claim(own.corpus, "likely", f"{own}, and the folder has its name")
    if not any(match.fitting for match in results) and not named and has_emotion_folders(folder):
        return _own_claim(folder, None, "likely", _BY_EMOTIONS)
    return _Claim("", "", _doubt(folder, named, results))


def _own_claim(folder: Path, named: str | None, certainty: str, reason: str) -> _Claim:
    """Returns the claim of somebody's own corpus, which is called as the folder if nothing else names it."""
    corpus = named or slug(folder.name or folder.resolve().name)
    broken = catalog().broken.get(corpus)
    lack = f"its entry has a mistake: {broken}" if broken else "" if corpus else _NAMELESS
    return _Claim("", "", f"{reason.removeprefix('it ')}, but {lack}") if lack else _Claim(corpus, certainty, reason)


def _doubt(folder: Path, named: str | None, results: Sequence[Match]) -> str:
    """Tells why a folder is taken for no corpus, and what to do."""
    if tables := [path.name for path in sorted(folder.glob("[Mm]anifest.*")) if path.is_file()]:
        return (
            f"holds {', '.join(tables)}, which isn't read: a manifest is a .csv, .tsv, .txt, .xlsx, .json or .jsonl "
            "with at least the columns file and label, separated by commas, semicolons or tabs"
        )
    if not results and not named and (tables := [path.name for path in possible_tables(folder)]):
        return (
            f"holds {' and '.join(tables)}, but it isn't clear {'which' if len(tables) > 1 else 'whether that'} is its "
            "list of recordings: call it manifest.csv, with the columns file, label and, if known, speaker"
        )
    if not results and not named:
        return _UNKNOWN
    lines = [str(match) for match in results[:2] if match.fitting or match is results[0]]
    if named and all(match.corpus != named for match in results):
        lines.insert(0, f"is named {folder.name}, but nothing in it has the layout {entry(named).layout}")
    elif named:
        lines.insert(0, f"is named {folder.name}, which isn't enough")
    corpus = results[0].corpus if results else str(named)
    how = f"if it is {_name(corpus)}, name it: --corpus {corpus}={folder}, or `{corpus}: {folder}` in a YAML file"
    if len(results) > 1 and results[1].utterances:
        how = f"if it holds several corpora, give --root {folder}; {how}"
    return f"{'; '.join(lines)}. No guess is made: {how}; otherwise put a manifest.csv there (file,label,speaker)"


def _named(folder: Path) -> str | None:
    """Returns the corpus whose id or name a folder bears, or the folder that it is a link to."""
    return corpus_of_name(folder.name) or corpus_of_name(folder.resolve().name)


def _name(corpus: str) -> str:
    return catalog()[corpus].name if corpus in catalog() else corpus


def _is_archive(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() in (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")
