"""The commands `exhubert emoset ...`: list, verify and build emotional speech corpora, and publish the dataset."""

import argparse
import dataclasses
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..emoset.catalog import (
    CATALOG_VARIABLE,
    NO_CORPORA,
    AnnotationTable,
    Archive,
    CatalogError,
    Layout,
    catalog,
    emoset_plus_plus,
    entry,
    use_catalog,
)
from ..emoset.catalog.column_map import parse_columns, parse_scales
from ..emoset.labelling.scheme import SCHEMES
from ..emoset.sources import ROOT_VARIABLE, Sources, find_corpora
from ..files import write_whole
from ..records import BuildSummary
from ..targets import check_target


def add_command(top_commands) -> None:
    """Adds the sub-commands and their options; each sets `run` to a function of the parsed options."""
    parser = top_commands.add_parser("emoset", help="emotional speech corpora and the dataset built from them")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    place = argparse.ArgumentParser(add_help=False)
    place.add_argument("--root", help=f"folder with corpora, or YAML of their folders (default: ${ROOT_VARIABLE})")

    shelf = argparse.ArgumentParser(add_help=False)
    shelf.add_argument(
        "--catalog",
        action="append",
        metavar="PLACE",
        help=f"folder with YAML files of corpora of your own, or one such file; may be repeated (${CATALOG_VARIABLE})",
    )
    tables = argparse.ArgumentParser(add_help=False)
    tables.add_argument(
        "--columns",
        action="append",
        default=[],
        metavar="[CORPUS:]FIELD=COLUMN,...",
        help="columns of your own tables with other than usual names, such as label=emo,speaker=who; may be repeated",
    )
    tables.add_argument(
        "--rating_scale",
        action="append",
        default=[],
        metavar="[CORPUS:]LOW,HIGH",
        help="lowest and highest value of ratings, such as 1,5; may be repeated",
    )

    parents = [place, shelf]
    command = commands.add_parser("list", parents=parents, help="list the corpora of the catalog and their folders")
    command.set_defaults(run=_with_catalog(_list))
    command = commands.add_parser("show", parents=[shelf], help="show the catalog entry of one corpus")
    command.add_argument("corpus", help="its id, such as emo_db")
    command.set_defaults(run=_with_catalog(_show))
    parents = [place, shelf, tables]
    command = commands.add_parser("verify", parents=parents, help="compare corpora on disk with the catalog")
    command.add_argument(
        "--duplicates", action="store_true", help="find the same recording in two corpora by its sound; decodes all"
    )
    command.set_defaults(run=_with_catalog(_verify))

    command = commands.add_parser("build", parents=parents, help="build corpora into one dataset")
    command.add_argument(
        "--corpora",
        type=_names,
        help="build only these, separated by commas; emoset++ is the paper's 37",
    )
    command.add_argument(
        "--corpus",
        action="append",
        default=[],
        metavar="NAME=FOLDER",
        help="folder of one corpus, or hf://owner/name for a dataset of the Hugging Face hub; may be repeated",
    )
    command.add_argument("--output", required=True, help="folder of the dataset")
    command.add_argument("--seed", type=int, default=0, help="seed of the partitions")
    command.add_argument("--num_proc", type=int, help="number of processes that decode")
    command.add_argument("--scheme", default="default", help=f"label map: {', '.join(SCHEMES)}, or your own YAML file")
    command.add_argument(
        "--encoding",
        action="append",
        default=[],
        metavar="[CORPUS=]ENCODING",
        help="encoding of manifests and annotation files, such as cp1252, or of those of one corpus; may be repeated",
    )
    command.add_argument("--strict", action="store_true", help="fail if anything is set aside")
    command.set_defaults(run=_with_catalog(_build))

    command = commands.add_parser("new", parents=[shelf], help="draft the YAML file of a corpus of your own")
    command.add_argument("folder", help="folder of its recordings")
    command.add_argument("--output", metavar="FILE.yaml", help="new file; without it, the draft is printed")
    command.add_argument("--id", metavar="NAME", help="id of the corpus (default: the folder's name)")
    command.set_defaults(run=_with_catalog(_new))
    command = commands.add_parser("protocols", help="list the protocols that divide corpora into folds")
    command.add_argument("protocol", nargs="?", metavar="CORPUS", help="only those for this corpus, or one YAML file")
    command.add_argument("--data", help="folder of a built dataset: show the folds of a protocol in it")
    command.add_argument("--labels", default="six", help="label space of the folds (default: six)")
    command.set_defaults(run=_protocols)

    command = commands.add_parser("stats", help="write table, plots and card of a built dataset")
    command.add_argument("dataset", help="folder of the dataset")
    command.set_defaults(run=_stats)
    command = commands.add_parser("push", help="upload a built dataset whose licences allow it")
    command.add_argument("dataset", help="folder of the dataset")
    command.add_argument("repository", help="owner/name")
    command.add_argument("--public", action="store_true", help="make a new repository public")
    command.set_defaults(run=_push)


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise argparse.ArgumentTypeError("names no corpus; leave it out to build all that are found")
    return names


def _with_catalog(run: Callable[[argparse.Namespace], int]) -> Callable[[argparse.Namespace], int]:
    """Makes a command know the corpora of `--catalog`."""

    def within(options: argparse.Namespace) -> int:
        with use_catalog(options.catalog):
            return run(options)

    return within


def _list(options: argparse.Namespace) -> int:
    try:
        sources = find_corpora(options.root)
    except ValueError:
        sources = Sources({}, [])
        print(f"(no folder was searched: give --root, or set {ROOT_VARIABLE})")
    rows = [("id", "name", "set", "language", "kind", "utterances", "hours", "found in", "licence; access")]
    for facts in catalog().values():
        size = (facts.kind, str(facts.utterances), str(facts.hours))
        terms = f"{facts.licence}; {facts.access}"
        where = f"{sources.found[facts.id]} ({sources.certainty[facts.id]})" if facts.id in sources.found else "-"
        group = "-" if facts.id in NO_CORPORA else "yours" if facts.file else "beyond" if facts.beyond else "emoset++"
        rows.append((facts.id, facts.name, group, ",".join(facts.languages[:3]), *size, where, terms[:80]))
    _print_table(rows)
    for name, folder in sources.found.items():
        if name not in catalog():
            print(f"{name}: a corpus of your own in {folder}")
        elif sources.certainty[name] == "likely":
            print(f"{name}: {sources.reasons[folder]}")
    for facts in catalog().values():
        if facts.file:
            print(f"{facts.id}: an entry of your own, {facts.file}")
    _print_unknown(sources)
    return 0


def _show(options: argparse.Namespace) -> int:
    facts = entry(options.corpus)
    for item in dataclasses.fields(facts):
        value = getattr(facts, item.name)
        doubt = " (recalled, not read in a source)" if item.name in facts.uncertain else ""
        source = f" [{facts.sources[item.name]}]" if item.name in facts.sources else ""
        if item.name in ("by_annotated_valence", "sources", "uncertain") or value in ({}, [], "", None, False):
            continue
        if item.name == "labels":
            print(f"labels:{doubt}{source}")
            for raw, label in value.items():
                alternative = f", or {label.alternative}" if label.alternative else ""
                why = f"; {label.why}" if label.why else ""
                print(f"  {raw}: {label.emotion} -> {label.class_name or 'dropped'} ({label.basis}{alternative}{why})")
        elif item.name == "notes":
            print("notes:", *value, sep="\n  - ")
        else:
            print(f"{item.name}: {_shown(value)}{doubt}{source}")
    return 0


def _shown(value: Any) -> str:
    """Returns the value of a fact for people."""
    if isinstance(value, Layout):
        return value.pattern
    if isinstance(value, Archive):
        return f"{value.bytes} bytes, md5 {value.md5}"
    if isinstance(value, AnnotationTable):
        return " and ".join(filter(None, (value.file, value.people)))
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_shown(item)}" for key, item in value.items())
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _verify(options: argparse.Namespace) -> int:
    from ..emoset.checks.verify import verify, verify_archives

    place = Path(options.root or os.environ.get(ROOT_VARIABLE) or ".").expanduser()
    archives = [(item.corpus, item.status, "-", item.detail) for item in verify_archives(catalog(), place)]
    rows = [("corpus", "status", "recognised", "detail")]
    try:
        sources = find_corpora(options.root)
    except ValueError:  # nothing is unpacked yet
        if archives:
            _print_table(rows + archives)
        raise
    yours = [name for name, facts in catalog().items() if facts.file]
    corpora = {name: entry(name) for name in (*emoset_plus_plus(), *yours)}  # others are reported if they are found
    columns, scales = parse_columns(options.columns), parse_scales(options.rating_scale)
    for item in verify(corpora, sources.found, columns, scales):
        rows.append((item.corpus, item.status, sources.certainty.get(item.corpus, "-"), item.detail))
    rows += archives
    for folder in sources.unknown:
        status = "doubtful" if folder in sources.doubtful else "unknown layout"
        rows.append((folder.name, status, "-", f"{folder}: {sources.reasons[folder]}"))
    _print_table(rows)
    if options.duplicates:
        _print_duplicates(sources, columns, scales)
    return 0


def _print_duplicates(sources: Sources, columns: Mapping[str, Any], scales: Mapping[str, Any]) -> None:
    from ..emoset.checks.near_duplicates import SHORTEST, near_duplicates

    pairs, skipped = near_duplicates(sources.found, columns, scales)
    groups: dict[tuple[str, str], list[Any]] = {}
    for pair in pairs:
        groups.setdefault((pair.first.partition("/")[0], pair.second.partition("/")[0]), []).append(pair)
    for (first, second), same in groups.items():
        example = f"{same[0].first} and {same[0].second} (likeness {same[0].likeness})"
        print(f"{first} and {second} share {len(same)} recordings, such as {example}: build only one of the two")
    if not pairs:
        print("no recording of at least a second is in two corpora")
    for corpus, count in skipped.items():
        print(f"{corpus}: {count} recordings were not compared; they last less than {SHORTEST} s, or can't be read")


def _build(options: argparse.Namespace) -> int:
    from ..emoset.dataset import build, check_output

    roots: dict[str, str | Path] = {}
    for item in options.corpus:
        name, separator, folder = item.partition("=")
        if not separator:
            raise ValueError(f"--corpus {item}: expected NAME=FOLDER, such as emo_db=corpora/emo_db.")
        if name in roots:
            raise ValueError(
                f"--corpus {name} is given twice: {roots[name]} and {folder}. Give another name to one of them."
            )
        roots[name] = folder
    sources = Sources({}, [])
    if options.root or not roots:
        if place := options.root or os.environ.get(ROOT_VARIABLE):
            check_output(options.output, [Path(place).expanduser()])
        wanted = options.corpora and [corpus for corpus in options.corpora if corpus not in roots]
        sources = find_corpora(options.root, wanted).without(roots)
    roots |= sources.found
    if not roots:
        _print_unknown(sources)
        raise ValueError(
            f"No corpus was recognised; unknown folders: {', '.join(map(str, sources.unknown)) or 'none'}."
        )
    if options.strict and not options.corpora and catalog().broken:
        raise CatalogError(f"{next(iter(catalog().broken.values()))} With --strict that is an error.")
    if options.strict and not options.corpora and sources.doubtful:
        folder = sources.doubtful[0]
        raise ValueError(
            f"{len(sources.doubtful)} folders are set aside, and --strict makes that an error. The first: {folder}: "
            f"{sources.reasons[folder]}."
        )
    settings = {"seed": options.seed, "num_proc": options.num_proc, "scheme": options.scheme, "strict": options.strict}
    settings["encoding"] = _encodings(options.encoding, roots)
    settings |= {"columns": parse_columns(options.columns), "rating_scale": parse_scales(options.rating_scale)}
    for corpus, facts in build(roots, options.output, **settings).items():
        parts = ", ".join(f"{part['utterances']} {name}" for name, part in facts.partitions.items())
        size = f"{facts.utterances} utterances, {facts.hours} h"
        plain = facts.name == corpus or (corpus in roots and corpus in catalog())
        name = facts.name if plain else f"{facts.name} ({corpus})"
        print(f"{name}: {size}; {parts}; by {facts.partition_rule}")
        if sources.certainty.get(corpus) == "likely":
            print(f"  likely {facts.name}: in {roots[corpus]}, {sources.reasons[Path(roots[corpus])]}")
        for note in _notes(facts):
            print(f"  {note}")
        if facts.rejected:
            print(f"  {facts.rejected} recordings set aside, each with its reason in rejected.jsonl")
    _print_unknown(sources)
    print(f"dataset in {options.output}")
    return 0


def _notes(facts: BuildSummary) -> Iterator[str]:
    """Says what users should know about the speakers and partitions of a corpus."""
    yield from facts.notes
    if facts.unnamed:
        yield f"NOT speaker-independent: {facts.unnamed} utterances without a speaker's name"
    if facts.divided_speakers:
        names = ", ".join(facts.divided_speakers)
        yield f"validation is NOT speaker-independent: too few speakers, so {names} is in train and in validation"
    if facts.not_speakers:
        yield f"taken for no person's name: {', '.join(f'{name} ({n})' for name, n in facts.not_speakers.items())}"
    if facts.merged_speakers:
        spellings = (f"{name} (also {', '.join(others)})" for name, others in facts.merged_speakers.items())
        yield f"spellings taken for one speaker: {'; '.join(spellings)}"
    yield from _label_notes(facts)
    total = Counter[str]()
    for part in facts.partitions.values():
        total.update(part["classes"])
    for name, part in facts.partitions.items():
        missing = [label for label, count in part["classes"].items() if total[label] and not count]
        if not part["utterances"]:
            yield f"{name} is empty"
        elif missing:
            yield f"{name} has no {', '.join(missing)}"


def _label_notes(facts: BuildSummary) -> Iterator[str]:
    """Says which utterances have none of the six classes, and what to do if that is all."""
    from ..emoset.labelling.relabel import labels_text, scale_sentence, utterances_text

    if labels := {name: number for name, number in facts.dropped_labels.items() if name}:
        yield f"labels that map to no class, kept without one: {labels_text(labels)}"
    if scaled := facts.rated - facts.rated_without_scale:
        yield f"class from ratings, for want of a label: {utterances_text(scaled)}"
    if facts.rated_without_scale:
        yield scale_sentence(facts.rated_without_scale)
    if not any(count for part in facts.partitions.values() for count in part["classes"].values()) and labels:
        yield (
            "NO utterance has one of the six classes: give the classes of these labels in a YAML file by --scheme, or "
            "open the dataset with another label space, such as labels='native'"
        )


def _encodings(options: Sequence[str], corpora: Iterable[str]) -> dict[str, str]:
    """Returns the encoding of each corpus; one without a corpus's name is that of all others."""
    pairs = [option.rpartition("=") for option in options]
    named = {corpus: encoding for corpus, _, encoding in pairs if corpus}
    general = [encoding for corpus, _, encoding in pairs if not corpus]
    return dict.fromkeys(corpora if general else (), "".join(general[-1:])) | named


def _new(options: argparse.Namespace) -> int:
    from ..emoset.drafting.draft import draft

    if options.output:
        check_target("--output", options.output, [options.folder], own=lambda path: False)
    result = draft(options.folder, options.id)
    print(*result.remarks, sep="\n", end="\n" if result.remarks else "")
    if result.rows:
        _print_table([("part", "values", "recordings each", "most frequent", "guess", "why"), *result.rows])
    if not options.output:
        print(f"\n{result.text}", end="")
        return 0
    target = Path(options.output)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_whole(target, result.text)
    print(f"draft: {target}")
    return 0


def _protocols(options: argparse.Namespace) -> int:
    from ..emoset.protocols.protocol import ANY_CORPUS, BUILT_IN, NOTHING
    from ..emoset.protocols.protocol_file import read_protocol, shipped_protocols

    name = options.protocol
    if options.data:
        return _folds(name or "held_out", options.data, options.labels)
    known = {key: read_protocol(path) for key, path in shipped_protocols().items()}
    if name in known or (name and Path(name).suffix.lower() in (".yaml", ".yml")):
        chosen = [known[name] if name in known else read_protocol(Path(name))]
    else:
        chosen = [item for item in known.values() if name is None or name in item.corpora]
        if not chosen:
            facts = entry(name)
            print(f"No protocol for {facts.name} is shipped; a YAML file of your own is one, too.")
    rows: list[tuple[str, ...]] = [("protocol", "corpora", "keeps apart", "folds", "source")]
    for item in chosen:
        apart = ", ".join(item.keeps_apart) or NOTHING
        rows.append((item.name, ", ".join(item.corpora) or ANY_CORPUS, apart, item.number_of_folds, item.source))
    if name is None or not chosen:
        rows += [(rule, ANY_CORPUS, "speaker", "by rule", text) for rule, text in BUILT_IN.items()]
    _print_table(rows)
    for item in chosen:
        if item.notes:
            print(f"{item.name}: {item.notes}")
    return 0


def _folds(name: str, data: str, labels: str) -> int:
    """Prints the folds of a protocol in a built dataset, also if they share speakers."""
    from ..evaluation.leaks import leak_text, speakers_shared
    from ..evaluation.protocols import folds, load_for_protocol, table_of

    divided = BuildSummary.all_divided_speakers(data)
    table = table_of(load_for_protocol(data, name, labels=labels)[0], name)
    rows: list[tuple[str, ...]] = [("fold", "name", "train", "validation", "test", "speakers that partitions share")]
    found = folds(name, table, divided=divided, allow_leak=True)
    for number, fold in enumerate(found):
        sizes = (str(len(numbers)) for numbers in fold.partitions.values())
        shared = speakers_shared({part: table["speaker"].iloc[own] for part, own in fold.partitions.items()})
        rows.append((str(number), fold.name, *sizes, leak_text(shared) or "none"))
    _print_table(rows)
    if unnamed := int(table["speaker"].isna().sum()):
        print(f"{unnamed} of {len(table)} utterances name no speaker.")
    for note in dict.fromkeys(note for fold in found for note in fold.notes):
        print(f"{note}.")
    return 0


def _stats(options: argparse.Namespace) -> int:
    from ..emoset.card import write_statistics

    print(f"card: {write_statistics(options.dataset)}")
    return 0


def _push(options: argparse.Namespace) -> int:
    from ..hub.dataset import push

    print(push(options.dataset, options.repository, private=not options.public))
    return 0


def _print_unknown(sources: Sources) -> None:
    for folder in sources.unknown:
        print(f"{folder}: {sources.reasons[folder]}")


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=True)]
        print("  ".join([*cells, row[-1]]).rstrip())
