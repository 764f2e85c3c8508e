"""Evaluates a saved model on a built dataset and writes `results.json`, predictions and plots."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import datasets
import pandas as pd

from ..configuration_exhubert import is_regression, window_seconds
from ..conversion.loading import feature_extractor_of, load_classifier
from ..conversion.session import OnnxModel
from ..cpu import keep_freed_memory, use_kernels
from ..devices import choose_device
from ..emoset.dataset import load_labelled
from ..emoset.labelling.label_spaces import SPACES, Labels, space_of_classes
from ..emoset.labelling.relabel import Chosen
from ..emoset.protocols.protocol_file import find_protocol
from ..files import read_json, write_json
from ..labels import names_by_index
from ..records import BuildSummary, Results, Run
from ..targets import check_target, has_keys
from .baselines import baseline_predictions
from .calibration import fit_temperature
from .comparison import compare_all, read_predictions
from .predictions import predict_rows
from .protocols import apply_protocol, hash_of_seen, load_for_protocol, shared_by_partitions
from .report import results as figures_of
from .report import uar_text

PARTITION_CHOICES = ("train", "validation", "test", "all")
_PREDICTIONS = "predictions.csv"
_CORPUS_FACTS = (
    "name", "licence", "kind", "utterances", "hours", "partition_rule", "speaker_independent", "rejected"
)  # fmt: skip


def evaluate_model(
    model: str | Path,
    data: str | Path,
    output: str | Path | None = None,
    *,
    partition: str = "test",
    corpora: Sequence[str] | None = None,
    languages: Sequence[str] | None = None,
    labels: Labels | None = None,
    max_seconds: float | None = None,
    batch_size: int = 16,
    kernels: str = "auto",
    baselines: bool = False,
    calibrate: bool = False,
    comparisons: Mapping[str, str | Path] | None = None,
    protocol: str | None = None,
    fold: int = 0,
    allow_leak: bool = False,
) -> Results:
    """Evaluates a classifier on one partition of a built dataset.

    Args:
        model: Folder or hub id of an ExHuBERT or plain HuBERT classifier, or a folder that `exhubert export` wrote.
        data: Folder of a built dataset.
        output: Folder for `results.json`, `predictions.csv`, `confusion.png`, `groups.png` and `confidence.png`.
            Nothing is written if it is None.
        partition: `train`, `validation`, `test`, or `all` for corpora that the model wasn't trained on.
        corpora: Corpora to evaluate on; all if None.
        languages: Languages (BCP-47) to evaluate on; all if None.
        labels: Label space, see `exhubert.emoset.labelling.label_spaces.read_space`; by default as in training, or for
            a model without a record of training the one that has its classes. Utterances of other classes are left out.
        max_seconds: Length of the windows that longer utterances are cut into; by default as in training.
        batch_size: Number of utterances, and of windows, at a time.
        kernels: See [`exhubert.cpu.use_kernels`].
        baselines: Also train the baselines on the train partition, and evaluate them.
        calibrate: First fit the temperature on the validation partition, and save it in the model's `config.json`.
        comparisons: Folders with evaluations of other models on the same utterances, by name.
        protocol: Name or YAML file of a protocol, for a model without a record of its training. A model that was
            trained under a protocol is tested in its fold; then this says where the YAML file is now, if it has moved.
        fold: Fold of `protocol`, from 0, for a model without a record.
        allow_leak: Whether partitions of a protocol's file may share speakers; the results then say so.

    Returns:
        The results, as written to `results.json`.

    Raises:
        ValueError: The options, the model and the data don't fit together.
        TargetError: The output is or contains the model, touches other sources, or holds something else.
        RuntimeError: The model is incomplete.
        OSError: The model or the data can't be read, or the output can't be written.
    """
    model, output = str(model), Path(output) if output else None
    if batch_size < 1 or (max_seconds is not None and max_seconds <= 0):
        raise ValueError("batch_size and max_seconds must be above 0.")
    if output:
        sources = [data, *(comparisons or {}).values()]
        check_target("--output", output, sources, own=_is_evaluation, folder=True, hosts=[model])
    if calibrate:
        _config_of(Path(model))
    run = _run_of(model)
    network = load_classifier(model).to(choose_device())
    names = names_by_index(network.config.id2label)
    if is_regression(network.config):
        raise ValueError(f"{model} is a regression model with the outputs {names}; only classes can be evaluated.")
    labels = labels_of_model(model, names, run) if labels is None else labels
    whole = partition == "all"
    place, fold = _place_of(protocol, fold, run, whole)
    parts, chosen, fold_name = _open_data(data, corpora, run, labels, names, place, fold, allow_leak)
    declared = find_protocol(place) if place else None
    shared = shared_by_partitions(parts) if declared else {}
    if partition == "all":
        parts["all"] = _never_trained_on(parts, run)
    if partition not in parts:
        raise ValueError(f"{data} has no {partition} partition for this choice; it has {', '.join(parts)}.")
    rows, training = parts[partition], parts.get("train")
    for column, choice in (("corpus", corpora), ("language", languages)):
        if choice:
            rows = _only(rows, column, choice)
    if baselines and partition in ("all", "train"):
        raise ValueError(f"Baselines learn from the train partition, so they can't be tested on {partition}.")
    if baselines and training is None:
        raise ValueError(f"{data} has no train partition for the baselines to learn from.")
    keep_freed_memory()
    if not isinstance(network, OnnxModel):
        use_kernels(network, kernels)
    max_seconds = max_seconds or window_seconds(network.config)
    setup: dict[str, Any] = {
        "utterances_sha256": hashlib.sha256("\n".join(sorted(rows["utterance_id"])).encode()).hexdigest(),
        "max_seconds": max_seconds,
    }
    others = read_predictions(comparisons or {}, setup, names)
    extractor = feature_extractor_of(model, network.config)
    if calibrate:
        if partition == "validation" or "validation" not in parts:
            raise ValueError("Calibration learns from the validation partition, which must exist and not be tested.")
        network.config.logit_temperature = None
        validation = predict_rows(network, extractor, parts["validation"], max_seconds, batch_size)
        network.config.logit_temperature = fit_temperature(
            validation["label"], validation[[f"p_{name}" for name in names]]
        )
        keep_temperature(Path(model), network.config.logit_temperature)
    table = predict_rows(network, extractor, rows, max_seconds, batch_size)
    predictions = baseline_predictions(training, rows) if baselines else {}
    others |= {name: table.assign(prediction=predicted) for name, predicted in predictions.items()}
    trained_languages = run.languages if run else None
    trained_languages = trained_languages or (training if training is not None else rows)["language"]
    unseen = sorted(set(rows["language"]) - set(trained_languages))
    summaries = BuildSummary.load_all(data)
    independent = None not in rows["speaker"] and not any(partition in pair.split(" and ") for pair in shared)
    tested = {name: summaries[name] for name in sorted(set(table["corpus"]))}
    results = Results(
        model=model,
        partition=partition,
        **setup,
        speaker_independent=independent
        if declared
        else all(summary.independent_on(partition) for summary in tested.values()),
        temperature=getattr(network.config, "logit_temperature", None),
        synthetic=all(summary.kind == "synthetic" for summary in tested.values()),
        corpora={name: {key: getattr(summary, key) for key in _CORPUS_FACTS} for name, summary in tested.items()},
        protocol=declared.record() | {"fold": fold_name} if declared else None,
        shared_speakers=shared,
        **figures_of(table, names, predictions, unseen),
        paired=compare_all(table, others, unseen),
        labels=asdict(chosen),
    )
    if output:
        _write(results, table, output)
    return results


def groups_of(results: Results) -> dict[str, Any]:
    """The groups that table and plot show: all, by corpus (by language if there is only one), and the baselines."""
    groups = results.by_corpus if len(results.corpora) > 1 else results.by_language
    return {"all": results.overall} | groups | results.baselines


def _write(results: Results, table: pd.DataFrame, output: Path) -> None:
    # here, for importing the plots sets matplotlib's backend, which importing exhubert.evaluation must not
    from .plots import plot_confidence, plot_confusion, plot_groups

    output.mkdir(parents=True, exist_ok=True)
    (output / Results.file).unlink(missing_ok=True)  # written last, its presence means that all files are complete
    table.to_csv(output / _PREDICTIONS, index=False)
    kind = "synthetic demo speech" if results.synthetic else f"{results.partition} partition"
    title = f"UAR {uar_text(results.overall)} %, {kind}"
    title += "\nNOT speaker-independent" if results.shared_speakers and not results.speaker_independent else ""
    plot_confusion(results.overall["confusion_matrix"], results.class_names, output / "confusion.png", title)
    plot_groups(groups_of(results), output / "groups.png", title)
    if results.calibration:
        plot_confidence(results.calibration, output / "confidence.png", title)
    results.save(output)


def _is_evaluation(folder: Path) -> bool:
    """Whether a folder holds an evaluation, or what an interrupted one left: the results are written last."""
    if (folder / Results.file).exists():
        return has_keys(folder / Results.file, "utterances_sha256", "overall", "class_names")
    try:
        with (folder / _PREDICTIONS).open(encoding="utf-8") as stream:
            return stream.readline().startswith("utterance_id,corpus,")
    except (OSError, ValueError):
        return False


def _run_of(model: str) -> Run | None:
    """Record of the training in the model's folder; None if there is none."""
    return Run.load(model) if (Path(model) / Run.file).is_file() else None


def _place_of(protocol: str | None, fold: int, run: Run | None, whole: bool) -> tuple[str | None, int]:
    """Name or file of the protocol to test under, and the fold; None for the partitions of the build."""
    used = run.data if run else {}
    trained = used.get("protocol", "held_out")
    if protocol and (whole or (run and not run.protocol)):
        why = "--partition all tests on everything" if whole else f"the model was trained under protocol {trained}"
        raise ValueError(f"--protocol {protocol} can't be used: {why}. Leave it out.")
    if run is None or whole or trained == "held_out":
        return (protocol, fold)
    return protocol or trained, used["fold"]


def labels_of_model(model: str | Path, names: Sequence[str], run: Run | None = None) -> Labels:
    """The label space of a model: that of its training, or the one that has its classes.

    Args:
        model: Folder or hub id.
        names: Class names in logit order.
        run: The record of its training; by default that in its folder, if there is one.

    Raises:
        ValueError: No label space has these classes, and they aren't emotion words.
    """
    run = run or _run_of(str(model))
    if run and run.labels and set(run.labels["classes"]) == set(names):
        return run.labels["definition"]
    space = space_of_classes(names)
    if space is None:
        raise ValueError(
            f"{model} has the classes {', '.join(names)}, which no label space has. Give the one by which it was "
            f"trained with `labels` (`--labels`): {', '.join(SPACES)}, or a YAML file that maps labels to them."
        )
    return space


def _open_data(
    folder: str | Path,
    corpora: Sequence[str] | None,
    run: Run | None,
    labels: Labels,
    names: Sequence[str],
    place: str | None,
    fold: int,
    allow_leak: bool,
) -> tuple[datasets.DatasetDict, Chosen, str]:
    """The dataset in the partitions of a protocol's fold, or else of the build; its labels, and the fold's name."""
    if place is None:
        data, chosen = load_labelled(folder, corpora, labels=labels, classes=names)
        return data, chosen, "held_out"
    if run and run.protocol:
        _check_protocol(place, run)
    used: dict[str, Any] = run.data if run else {"corpora": corpora, "languages": None}
    data, chosen = load_for_protocol(folder, place, used["corpora"], used["languages"], labels, classes=names)
    divided = BuildSummary.all_divided_speakers(folder)
    number = used.get("folds", 5)
    data, name = apply_protocol(data, place, fold, number, divided=divided, allow_leak=allow_leak)
    if run and hash_of_seen(data) != run.seen_sha256:
        raise ValueError(
            f"The model was trained in {run.fold} of protocol {used['protocol']}, on other utterances than {name} "
            f"in {folder} has; evaluate it on the dataset it was trained on."
        )
    return data, chosen, name


def _check_protocol(place: str, run: Run) -> None:
    """Raises `ValueError` if a protocol's file is gone, or isn't what the model was trained under."""
    known = run.protocol or {}
    try:
        declared = find_protocol(place)
    except ValueError as error:
        raise ValueError(
            f"The model was trained under protocol {known['name']}: {error} Give its file with --protocol."
        ) from error
    if declared is None or declared.sha256 != known["sha256"]:
        raise ValueError(
            f"{place} isn't the protocol {known['name']} that the model was trained under: the file, or a list that it "
            "names, has changed. Restore it, or train again."
        )


def _never_trained_on(parts: datasets.DatasetDict, run: Run | None) -> datasets.Dataset:
    """Joins all partitions; raises `ValueError` if the model was trained on one of the corpora."""
    present = {name for rows in parts.values() for name in rows["corpus"]}
    if known := sorted(set(run.corpora if run else ()) & present):
        raise ValueError(
            f"--partition all would test on what the model was trained on: {', '.join(known)}. "
            "Choose other corpora with --corpora."
        )
    return datasets.concatenate_datasets(list(parts.values()))


def keep_temperature(model: Path, temperature: float) -> None:
    """Writes the temperature into the model's `config.json`, from which the pipeline reads it."""
    path = _config_of(model)
    write_json(path, read_json(path) | {"logit_temperature": temperature})
    print(f"temperature {temperature:.3f}, fitted on the validation partition, is in {path}")


def _config_of(model: Path) -> Path:
    path = model / "config.json"
    if not path.is_file():
        raise ValueError(f"--calibrate writes into the model's folder; {model} has no config.json. Download it first.")
    return path


def _only(rows: datasets.Dataset, column: str, values: Sequence[str]) -> datasets.Dataset:
    """The rows whose `column` is one of `values`."""
    rows = rows.filter(lambda value: value in values, input_columns=column)
    if not len(rows):
        raise ValueError(f"No utterance to evaluate has one of {', '.join(values)} as its {column}.")
    return rows
