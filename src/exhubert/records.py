"""The records that long jobs leave behind: what was built, trained and evaluated, and with which settings.

| file | record | written by |
|---|---|---|
| `run.json` | [`Run`] | training |
| `results.json` | [`Results`] | evaluation |
| `summary.json` | [`BuildSummary`] | `exhubert emoset build` |
| `settings.json` | [`Settings`] | every job that can be resumed |

Each loads files of earlier versions: fields they lack get their defaults, fields this version doesn't know are ignored.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from types import UnionType
from typing import Any, ClassVar, Self, get_args, get_origin

from .files import read_json, write_json

Figures = dict[str, Any]  # the figures of one group of utterances, see `exhubert.evaluation.report.summarise`


class _Record:
    """A dataclass that is kept as one JSON file in a folder."""

    file: ClassVar[str]
    written_by: ClassVar[str]

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Reads the record in a folder.

        Raises:
            FileNotFoundError: The folder has none; the message says what writes it.
            ValueError: The file isn't such a record.
        """
        path = Path(folder) / cls.file
        return cls.from_dict(read_json(path, f"{cls.written_by} writes it"), path)

    @classmethod
    def from_dict(cls, values: Any, source: str | Path) -> Self:
        """The record in a JSON value; `source` is the file that error messages name."""
        known = {item.name: item for item in fields(cls)}  # type: ignore[arg-type]
        if not isinstance(values, dict):
            names = ", ".join(list(known)[:3])
            raise ValueError(f"{source}: expected an object with {names} and more; found {type(values).__name__}.")
        required = (name for name, item in known.items() if item.default is item.default_factory is MISSING)
        if missing := [name for name in required if name not in values]:
            raise ValueError(
                f"{source} lacks {', '.join(missing[:3])}{' and more' * (len(missing) > 3)}, so it isn't what "
                f"{cls.written_by} writes. Write it again, or restore the file."
            )
        values = {
            name: value
            for name, value in values.items()
            if name in known and (value is not None or known[name].default_factory is MISSING)  # null: not known
        }
        for name, value in values.items():
            if not _fits(value, known[name].type):
                raise ValueError(
                    f"{source}: {name} is {_short(value)}, so it isn't what {cls.written_by} writes. Write it "
                    "again, or restore the file."
                )
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """The record as a JSON value."""
        return asdict(self)  # type: ignore[call-overload]

    def save(self, folder: str | Path) -> None:
        """Writes the record into a folder, complete or not at all."""
        write_json(Path(folder) / self.file, self.to_dict())


def _fits(value: Any, kind: Any) -> bool:
    """Whether a JSON value has the type of a field. Of what lists and objects contain, only objects are checked."""
    if isinstance(kind, UnionType):
        return any(_fits(value, choice) for choice in get_args(kind))
    if get_origin(kind) is dict:
        inner = get_args(kind)[1]
        return isinstance(value, dict) and (
            get_origin(inner) is not dict or all(_fits(item, inner) for item in value.values())
        )
    number = isinstance(value, int) and not isinstance(value, bool)
    if kind in (int, float):
        return number or (kind is float and isinstance(value, float))
    return isinstance(value, get_origin(kind) or kind)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 40 else f"{text[:40]}..."


@dataclass
class Run(_Record):
    """What one training did; `run.json`, written last and so the mark of a finished run.

    Attributes:
        model: The `ModelArguments` used.
        data: The `DataArguments` used.
        fold: Name of the fold that was trained.
        seen_sha256: Hash over the ids of all utterances in training and validation; None if unknown.
        training: The options of the Trainer that matter for the result.
        processes: Number of ranks.
        resumed_from: Checkpoint the run was resumed from, or None.
        corpora: Ids of the corpora trained on; empty if unknown.
        languages: BCP-47 tags of the languages trained on; empty if unknown.
        utterances: Number of utterances by partition.
        parameters: Number of parameters, `all` and `trainable`.
        steps: Optimizer steps.
        best_checkpoint: Name of the checkpoint the model is taken from.
        seconds: Duration of the training.
        memory_mb: Peak memory in MiB.
        validation: Figures on the validation partition, `uar` among them.
        invariants: Findings of the callbacks, by class name.
        gate_norms: Frobenius norm of each block's gate, by block; None for a plain HuBERT.
        versions: Versions of the libraries.
        protocol: `name`, `source`, `keeps_apart` and `sha256` of a protocol that a file describes, or None.
        shared_speakers: Number of speakers that two partitions of such a protocol share, such as `{"train and test":
            10}`.
        labels: The label space, see `exhubert.emoset.labelling.relabel.Chosen`; empty for the six classes of earlier
            versions.
    """

    file: ClassVar[str] = "run.json"
    written_by: ClassVar[str] = "recipes/train.py"

    model: dict[str, Any]
    data: dict[str, Any]
    fold: str = "held_out"
    seen_sha256: str | None = None
    training: dict[str, Any] = field(default_factory=dict)
    processes: int = 1
    resumed_from: str | None = None
    corpora: list[str] = field(default_factory=list)
    languages: list[str] = field(default_factory=list)
    utterances: dict[str, int] = field(default_factory=dict)
    parameters: dict[str, int] = field(default_factory=dict)
    steps: int = 0
    best_checkpoint: str = "none"
    seconds: float = 0.0
    memory_mb: float | None = None
    validation: dict[str, float] = field(default_factory=dict)
    invariants: dict[str, dict[str, Any]] = field(default_factory=dict)
    gate_norms: dict[str, float] | None = None
    versions: dict[str, str] = field(default_factory=dict)
    protocol: dict[str, Any] | None = None
    shared_speakers: dict[str, int] = field(default_factory=dict)
    labels: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        values = super().to_dict()
        if self.gate_norms is None:
            del values["gate_norms"]
        return values


@dataclass
class Results(_Record):
    """The figures of one evaluation; `results.json`, written last and so the mark of a finished evaluation.

    Attributes:
        model: Folder or hub id of the model.
        partition: The partition evaluated, or `all`.
        utterances_sha256: Hash over the ids of the utterances.
        max_seconds: Length of the windows that longer utterances were cut into.
        speaker_independent: Whether all corpora name their speakers, and none of the partition's is in another one.
        protocol: As in `Run`, with the `fold`; None for the partitions of the build and for protocols without a file.
        shared_speakers: As in `Run`.
        temperature: Logit temperature of the model, or None.
        synthetic: Whether all utterances are synthetic speech.
        corpora: Facts of each corpus evaluated, by id.
        class_names: In logit order.
        languages_not_trained_on: Languages counted as unseen.
        overall: [`Figures`] without unseen languages, unless there is nothing else.
        unseen_languages: `Figures` of unseen languages, or None.
        by_corpus: `Figures` of each corpus.
        by_language: `Figures` of each language, unseen ones too.
        by_gender: `Figures` of each gender; `unknown` if the corpus doesn't say.
        by_speaker: Utterances, classes and UAR of each speaker.
        calibration: Of the `overall` utterances, see `exhubert.evaluation.calibration`; None without probabilities.
        calibration_unseen: Of the utterances in unseen languages.
        ratings: Agreement with listeners' ratings, or None.
        baselines: `Figures` of each baseline on the `overall` utterances.
        baselines_unseen: Likewise on unseen languages.
        paired: Difference to each other model, see `exhubert.evaluation.comparison.compare`.
        labels: The label space, and what it left out of the data, see `exhubert.emoset.labelling.relabel.Chosen`.
    """

    file: ClassVar[str] = "results.json"
    written_by: ClassVar[str] = "recipes/evaluate_model.py"

    model: str
    partition: str
    utterances_sha256: str
    max_seconds: float
    speaker_independent: bool
    temperature: float | None
    synthetic: bool
    corpora: dict[str, dict[str, Any]]
    class_names: list[str]
    languages_not_trained_on: list[str]
    overall: Figures
    unseen_languages: Figures | None = None
    by_corpus: dict[str, Figures] = field(default_factory=dict)
    by_language: dict[str, Figures] = field(default_factory=dict)
    by_gender: dict[str, Figures] = field(default_factory=dict)
    by_speaker: dict[str, Figures] = field(default_factory=dict)
    calibration: Figures | None = None
    calibration_unseen: Figures | None = None
    ratings: Figures | None = None
    protocol: dict[str, Any] | None = None
    shared_speakers: dict[str, int] = field(default_factory=dict)
    baselines: dict[str, Figures] = field(default_factory=dict)
    baselines_unseen: dict[str, Figures] = field(default_factory=dict)
    paired: dict[str, dict[str, Any]] = field(default_factory=dict)
    labels: dict[str, Any] = field(default_factory=dict)


@dataclass
class BuildSummary(_Record):
    """What one corpus became when it was built; `summary.json` in the corpus's folder.

    Attributes:
        name: Usual name of the corpus.
        licence: Terms of its recordings.
        redistribution: Whether its recordings may be passed on: `allowed`, `forbidden` or `unknown`.
        kind: Such as `acted`; `synthetic` for the demo corpus.
        utterances: Number of utterances.
        hours: Duration of all utterances.
        partition_rule: How the partitions were made, see `exhubert.emoset.dealing.partition`.
        speaker_independent: Whether every utterance names its speaker, and no speaker is in two partitions.
        partitions: For each partition `utterances`, `speakers` (names) and `classes` (utterances of each).
        rejected: Number of recordings set aside.
        dropped_labels: Number of utterances of each raw label without a class.
        label_map: Class of each raw label, with the reason.
        fingerprint: Hash that changes with the recordings, labels, partitions or the form of the rows.
        unnamed: Number of utterances without a speaker's name.
        divided_speakers: Speakers who are in train and in validation, by the rule for corpora of one or two speakers.
        merged_speakers: Other spellings of each speaker's name that had several.
        not_speakers: Names that aren't a person's, such as `unknown`, with the number of utterances listed.
        rated: Number of utterances that have ratings instead of a label, from which their class comes when the dataset
            is opened.
        rated_without_scale: Likewise, but the scale of the ratings isn't known, so that they have no class.
        seed: Seed of the partitions; None if unknown.
        scheme: The label map: its `name`, and for a file its `sha256` and `map`; empty if unknown.
        versions: Versions of the libraries that built it; empty if unknown.
        catalog_sha256: Hash of the corpus's catalog entry, with the label map used; None if unknown.
        notes: What users should know of where the corpus is from and of its partitions.
    """

    file: ClassVar[str] = "summary.json"
    written_by: ClassVar[str] = "`exhubert emoset build`"

    name: str
    licence: str
    redistribution: str
    kind: str
    utterances: int
    hours: float
    partition_rule: str
    speaker_independent: bool
    partitions: dict[str, dict[str, Any]]
    rejected: int
    dropped_labels: dict[str, int]
    label_map: dict[str, dict[str, Any]]
    fingerprint: str
    unnamed: int = 0
    divided_speakers: list[str] = field(default_factory=list)
    merged_speakers: dict[str, list[str]] = field(default_factory=dict)
    not_speakers: dict[str, int] = field(default_factory=dict)
    rated: int = 0
    rated_without_scale: int = 0
    seed: int | None = None
    scheme: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    catalog_sha256: str | None = None
    notes: list[str] = field(default_factory=list)

    def independent_on(self, partition: str) -> bool:
        """Whether the speakers of a partition (or of `all`, the whole corpus) are named, and in no other partition."""
        if self.unnamed or not self.divided_speakers:
            return self.speaker_independent
        return not set(self.divided_speakers) & set(self.partitions.get(partition, {}).get("speakers", ()))

    @classmethod
    def from_dict(cls, values: Any, source: str | Path) -> Self:
        summary = super().from_dict(values, source)
        for part, facts in summary.partitions.items():
            if missing := [name for name in ("utterances", "speakers", "classes") if name not in facts]:
                raise ValueError(f"{source} lacks {', '.join(missing)} of {part}. Build again, or restore the file.")
        return summary

    def save(self, folder: str | Path) -> None:
        write_json(Path(folder) / self.file, self.to_dict(), ensure_ascii=False)

    @classmethod
    def load_all(cls, dataset: str | Path) -> "dict[str, BuildSummary]":
        """The summaries of all corpora in a built dataset, by corpus id.

        Raises:
            FileNotFoundError: The folder holds no finished dataset.
            ValueError: The file isn't such a summary.
        """
        path = Path(dataset) / cls.file
        if not path.is_file():
            raise FileNotFoundError(
                f"{dataset} holds no finished dataset; build it, or resume the build, with `exhubert emoset build`."
            )
        values = read_json(path)
        if not isinstance(values, dict) or not values:
            raise ValueError(
                f"{path}: expected an object with a summary for each corpus. Build again; that keeps finished corpora."
            )
        return {corpus: cls.from_dict(facts, f"{path}, {corpus}") for corpus, facts in values.items()}

    @classmethod
    def all_divided_speakers(cls, dataset: str | Path) -> list[str]:
        """The speakers in a built dataset whom the rule for few speakers divides between train and validation."""
        return [name for summary in cls.load_all(dataset).values() for name in summary.divided_speakers]

    @classmethod
    def save_all(cls, summaries: "Mapping[str, BuildSummary]", dataset: str | Path) -> None:
        """Writes the summaries of all corpora, which marks the dataset as finished."""
        content = {corpus: summary.to_dict() for corpus, summary in summaries.items()}
        write_json(Path(dataset) / cls.file, content, ensure_ascii=False)


@dataclass(frozen=True)
class Settings:
    """The settings a resumable job began with, so that it isn't resumed with others.

    Attributes:
        values: JSON values by name; groups of settings are nested.

    >>> Settings({"seed": 0}).require_same(Settings({"seed": 1}), "runs/a", "Give another folder.")
    Traceback (most recent call last):
    ValueError: runs/a began with seed 0, but now seed is 1. Give another folder.
    """

    values: Mapping[str, Any]

    @classmethod
    def load(cls, path: str | Path) -> "Settings":
        """Reads a settings file.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: The file isn't a JSON object.
        """
        values = read_json(Path(path))
        if not isinstance(values, dict):
            raise ValueError(f"{path}: expected a JSON object of settings.")
        return cls(values)

    def save(self, path: str | Path) -> None:
        """Writes the settings, complete or not at all."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, dict(self.values))

    def with_defaults(self, **groups: Mapping[str, Any]) -> "Settings":
        """These settings, with the defaults of fields that their groups lack, as those of earlier versions do.

        >>> Settings({"data": {"fold": 1}}).with_defaults(data={"fold": 0, "labels": "six"}).values
        {'data': {'fold': 1, 'labels': 'six'}}
        """
        filled = {name: {**defaults, **self.values.get(name, {})} for name, defaults in groups.items()}
        return Settings({**self.values, **filled})

    def require_same(self, now: "Settings", where: str | Path, remedy: str, ignore: Collection[str] = ()) -> None:
        """Raises if the settings given now differ from these.

        Args:
            now: The settings of the job that would be resumed.
            where: What these settings belong to, for the message.
            remedy: What to do, for the message.
            ignore: Names that may differ, such as the place of the data.

        Raises:
            ValueError: A setting that `now` has differs; the message names it.
        """
        before = dict(_flattened(self.values))
        for name, value in _flattened(now.values):
            if name.rsplit(".", 1)[-1] not in ignore and before.get(name) != value:
                short = name.rsplit(".", 1)[-1]
                raise ValueError(
                    f"{where} began with {short} {before.get(name)!r}, but now {short} is {value!r}. {remedy}"
                )


def _flattened(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Names and values of all settings; those in a group, or in a list of groups, as `group.name`."""
    for name, value in values.items():
        groups = value if isinstance(value, list) else [value]
        if groups and all(isinstance(group, Mapping) for group in groups):
            for number, group in enumerate(groups):
                yield from ((f"{name}.{number}.{inner}", item) for inner, item in group.items())
        else:
            yield name, value
