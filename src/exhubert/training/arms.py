"""Compares training configurations (arms), each trained on the same utterances, folds and seeds."""

import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from ..conversion.loading import feature_extractor_of, load_classifier
from ..cpu import use_kernels
from ..devices import choose_device
from ..emoset.labelling.label_spaces import read_space
from ..emoset.protocols.protocol_file import find_protocol
from ..evaluation.baselines import baseline_predictions
from ..evaluation.comparison import compare_arms, cross_corpus_matrix, markdown, read_arm
from ..evaluation.fold import Fold
from ..evaluation.leaks import leak_text
from ..evaluation.plots import plot_arms
from ..evaluation.predictions import KEPT, predict_rows
from ..evaluation.protocols import apply_protocol, folds, load_for_protocol, table_of
from ..files import write_json, write_whole
from ..records import BuildSummary, Settings
from ..targets import check_target, has_keys, refuse_foreign
from .arguments import Arguments, DataArguments, parse_arguments
from .checkpoints import check_run_folder, remove_checkpoints
from .fine_tune import fine_tune

_QUIET = {"report_to": "none", "disable_tqdm": "true", "logging_steps": 1000000, "save_total_limit": 1}


@dataclass(frozen=True)
class Experiment:
    """Settings of a comparison of arms.

    Attributes:
        configs: One configuration of recipes/train.py per arm, named after its file; the first is the reference for
            the others.
        data: Folder of a built dataset.
        output: Folder for runs and results.
        corpora: Only these corpora.
        protocol: See `exhubert.evaluation.protocols.folds`.
        folds: Number of folds of the protocol `speaker_folds`.
        seeds: Number of runs of each arm on each fold.
        fields: `FIELD=VALUE` for all arms, with the fields of recipes/train.py.
        allow_leak: Whether partitions of a protocol's file may share speakers.
    """

    configs: Sequence[Path]
    data: str
    output: Path
    corpora: Sequence[str] | None = None
    protocol: str = "speaker_folds"
    folds: int = 5
    seeds: int = 3
    fields: Sequence[str] = ()
    allow_leak: bool = False

    def __post_init__(self):
        if wrong := [item for item in self.fields if "=" not in item]:
            raise ValueError(f"--set {wrong[0]}: expected FIELD=VALUE, such as num_train_epochs=8.")
        names = [config.stem for config in self.configs]
        if len(set(names)) < len(names):
            raise ValueError(f"Two configurations have the same file name, which names the arm: {', '.join(names)}.")

    def arguments(self, config: Path, **fields: Any) -> Arguments:
        """The arguments of one arm; `fields` are added to those that all arms share."""
        shared = {"data": self.data, "protocol": self.protocol, "folds": self.folds} | fields
        shared |= {"allow_leak": True} if self.allow_leak else {}
        words = [word for item in self.fields for word in f"--{item}".split("=", 1)]
        words += [word for name, value in shared.items() for word in (f"--{name}", str(value))]
        return parse_arguments([str(config), *words, *(["--corpora", *self.corpora] if self.corpora else [])])

    def folder(self, config: Path, seed: int, fold: int) -> Path:
        """The folder of one run."""
        return self.output / config.stem / f"seed{seed}" / f"fold{fold:02d}"


def run_experiment(experiment: Experiment) -> str:
    """Trains and tests all arms, and writes `results.json`, `table.md` and `comparison.png`.

    Finished runs aren't repeated, so an interrupted comparison resumes where it stopped. Each arm runs in a separate
    process, whose peak memory is reported.

    Returns:
        The table, in Markdown.

    Raises:
        ValueError: The arms, the data and the protocol are incompatible, or the folder holds other runs.
        TargetError: The folder holds something else than a comparison, or touches the data, a model or a configuration.
        RuntimeError: A model is incomplete, or an invariant of the method is broken.
        OSError: The data or a model can't be read, or the folder can't be written.
    """
    # parse all arms first, so that an error in the last one doesn't show up after hours
    parsed = [experiment.arguments(config) for config in experiment.configs]
    languages = parsed[0][1].languages
    labels = parsed[0][1].labels
    if any((arm.languages, arm.corpora, arm.labels) != (languages, experiment.corpora, labels) for _, arm, _ in parsed):
        raise ValueError("The arms name different `corpora`, `languages` or `labels`; give them all the same data.")
    _check_output(experiment, [arm[0].model for arm in parsed])
    data, _ = load_for_protocol(experiment.data, experiment.protocol, experiment.corpora, languages, labels)
    divided = BuildSummary.all_divided_speakers(experiment.data)
    table = table_of(data, experiment.protocol)
    divisions = folds(experiment.protocol, table, experiment.folds, divided=divided, allow_leak=experiment.allow_leak)
    number = len(divisions)
    jobs = [(seed, fold) for seed in range(experiment.seeds) for fold in range(number)]
    for config in experiment.configs:
        for job in jobs:
            check_run_folder("--output", experiment.folder(config, *job), [])
    for config, arm in zip(experiment.configs, parsed, strict=True):
        _keep_settings(experiment, config, arm)
        if not all((experiment.folder(config, *job) / "predictions.csv").is_file() for job in jobs):
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                pool.submit(_run_arm, experiment, config, jobs).result()
    return _report(experiment, data, divisions, jobs)


def _check_output(experiment: Experiment, models: Sequence[str]) -> None:
    """Raises `TargetError` unless the output is new, or holds a comparison, with nothing else where files will be."""
    output, results = experiment.output, experiment.output / "results.json"
    check_target("--output", output, [experiment.data, *experiment.configs, *models], own=_is_comparison, folder=True)
    for name in ("results.json", "table.md", "comparison.png"):
        refuse_foreign("--output", output / name, _is_results(results))
    for config in experiment.configs:
        refuse_foreign("--output", output / config.stem, _is_arm(output / config.stem))


def _is_comparison(folder: Path) -> bool:
    return _is_results(folder / "results.json") or any(map(_is_arm, folder.iterdir()))


def _is_results(path: Path) -> bool:
    return has_keys(path, "protocol", "folds", "seeds", "arms")


def _is_arm(folder: Path) -> bool:
    return has_keys(folder / "settings.json", "data", "arm")


def _keep_settings(experiment: Experiment, config: Path, arm: Arguments) -> None:
    """Saves the settings of an arm; raises `ValueError` if its earlier runs used different ones."""
    model_args, data_args, args = arm
    training = {key: value for key, value in args.to_sanitized_dict().items() if "dir" not in key}
    summaries = BuildSummary.load_all(experiment.data)
    values = {
        "data": {name: summary.fingerprint for name, summary in summaries.items()},
        "arm": [asdict(model_args), _stored(data_args), training],
    }
    settings = Settings(json.loads(json.dumps(values, default=str)))
    path = experiment.output / config.stem / "settings.json"
    if path.is_file():
        remedy = "Choose another --output, or delete that folder."
        before = Settings.load(path)
        if isinstance(before.values.get("arm"), list):  # that of an earlier version lacks fields
            model, data, *rest = before.values["arm"]
            filled = json.loads(json.dumps(_stored(DataArguments()))) | data
            before = Settings({**before.values, "arm": [model, filled, *rest]})
        before.require_same(settings, f"The arm in {path.parent}", remedy)
    settings.save(path)


def _stored(data_args: DataArguments) -> dict[str, Any]:
    """The arguments without the place of the data, and with the content of a file of labels."""
    return data_args.settings() | {"data": "", "labels": read_space(data_args.labels).definition}


def _run_arm(experiment: Experiment, config: Path, jobs: Sequence[tuple[int, int]]) -> None:
    for seed, fold in tqdm(jobs, desc=config.stem, unit="run"):
        _train_and_test(experiment, config, seed, fold)


def _train_and_test(experiment: Experiment, config: Path, seed: int, fold: int) -> None:
    """Trains and tests an arm once; keeps the predictions and the record, but not the weights."""
    folder = experiment.folder(config, seed, fold)
    if (folder / "predictions.csv").is_file():
        return
    check_run_folder("--output", folder, [])
    remove_checkpoints(folder)  # of a run that was stopped
    model_args, data_args, args = experiment.arguments(config, output_dir=folder, fold=fold, seed=seed, **_QUIET)
    fine_tune(model_args, data_args, args)
    data, _ = load_for_protocol(
        data_args.data, data_args.protocol, data_args.corpora, data_args.languages, data_args.labels
    )
    divided = BuildSummary.all_divided_speakers(data_args.data)
    data, _ = apply_protocol(
        data, data_args.protocol, fold, data_args.folds, divided=divided, allow_leak=data_args.allow_leak
    )
    model = load_classifier(folder).to(choose_device())
    use_kernels(model)
    table = predict_rows(model, feature_extractor_of(folder, model.config), data["test"], data_args.max_seconds)
    remove_checkpoints(folder)
    for path in (*folder.glob("model*.safetensors"), *folder.glob("training_args.bin")):
        path.unlink()
    write_whole(folder / "predictions.csv", table.to_csv(index=False))


def _report(
    experiment: Experiment, data: datasets.DatasetDict, divisions: Sequence[Fold], jobs: Sequence[tuple[int, int]]
) -> str:
    """Writes results.json, table.md and comparison.png from the files of the runs."""
    number = len(divisions)
    declared = find_protocol(experiment.protocol)
    classes = next(iter(data.values())).features["label"].names
    arms, cost, records = {}, {}, {}
    for config in experiment.configs:
        arms[config.stem], runs = read_arm([experiment.folder(config, *job) for job in jobs])
        cost[config.stem] = {
            "parameters": runs[0].parameters["trainable"],
            "seconds": float(np.mean([run.seconds for run in runs])),
            "memory_mb": max(run.memory_mb or 0.0 for run in runs),
        }
        records[config.stem] = {"training": runs[0].training, "model": runs[0].model, "data": runs[0].data}
    arms |= _baseline_arms(experiment, data, number)
    results: dict[str, Any] = {
        "protocol": experiment.protocol,
        "folds": number,
        "seeds": experiment.seeds,
        "classes": classes,
        "arms": compare_arms(arms, classes),
        "cost": cost,
        "settings": records,
        "shared_speakers": {fold.name: dict(fold.shared) for fold in divisions if fold.shared},
    }
    if declared:
        results["protocol"], results["protocol_file"] = declared.name, declared.record()
    if experiment.protocol == "cross_corpus":
        results["matrix"] = {
            name: cross_corpus_matrix(dict(list(pd.concat(tables).groupby("fold"))), classes).to_dict()
            for name, tables in arms.items()
        }
    leak = leak_text(_largest(divisions))
    text = markdown(results["arms"], cost) + (f"\n\n{leak}." if leak else "")
    write_json(experiment.output / "results.json", results)
    write_whole(experiment.output / "table.md", text + "\n")
    title = f"{results['protocol'].replace('_', ' ')}, {number} folds, {experiment.seeds} seeds"
    title += "; NOT speaker-independent" if leak.startswith("NOT") else ""
    plot_arms(results["arms"], experiment.output / "comparison.png", title)
    return text


def _largest(divisions: Sequence[Fold]) -> dict[str, int]:
    """The largest number of speakers that two partitions of a fold share, by the names of both."""
    pairs = dict.fromkeys(pair for fold in divisions for pair in fold.shared)
    return {pair: max(fold.shared.get(pair, 0) for fold in divisions) for pair in pairs}


def _baseline_arms(experiment: Experiment, data: datasets.DatasetDict, number: int) -> dict[str, list[pd.DataFrame]]:
    """Predictions of the baselines on the same folds; they aren't random, so all seeds are equal."""
    tables: dict[str, list[pd.DataFrame]] = {}
    divided = BuildSummary.all_divided_speakers(experiment.data)
    for fold in range(number):
        parts, name = apply_protocol(
            data, experiment.protocol, fold, experiment.folds, divided=divided, allow_leak=experiment.allow_leak
        )
        rows = parts["test"].select_columns(KEPT).to_pandas().assign(fold=name)
        for baseline, predicted in baseline_predictions(parts["train"], parts["test"]).items():
            tables.setdefault(baseline, []).append(rows.assign(prediction=predicted))
    return {name: [pd.concat(parts, ignore_index=True)] * experiment.seeds for name, parts in tables.items()}
