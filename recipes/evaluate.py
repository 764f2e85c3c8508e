"""Evaluates a model on held-out speakers of a built dataset.

    python recipes/evaluate.py runs/demo/exhubert --data runs/demo/emoset --output runs/demo/evaluation --baselines

Writes results.json (all figures), predictions.csv (one row per utterance), confusion.png, groups.png and
confidence.png, and prints the table per corpus. With --compare it also tests the difference to other models.
"""

import sys
from pathlib import Path

# this folder's evaluate.py would hide the library of that name
sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != Path(__file__).resolve().parent]

import argparse
import hashlib
import json
from typing import Any

import datasets
import torch

from exhubert import card
from exhubert.emoset import load
from exhubert.evaluation.baselines import baseline_predictions
from exhubert.evaluation.calibration import fit_temperature
from exhubert.evaluation.paired import compare_all, paired_table, read_predictions
from exhubert.evaluation.plots import plot_confidence, plot_confusion, plot_groups
from exhubert.evaluation.predictions import predict_rows
from exhubert.evaluation.protocols import apply_protocol, hash_of_seen
from exhubert.evaluation.report import markdown_table, results, uar_text, write_results
from exhubert.conversion.extension import feature_extractor_of, load_classifier
from exhubert.files import write_whole
from exhubert.cpu import KERNELS, keep_freed_memory, use_kernels
from exhubert.labels import names_by_index
from exhubert.conversion.session import OnnxModel, is_exported


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder or hub id; also a folder that `exhubert export` wrote")
    parser.add_argument("--data", required=True, help="folder of a built dataset")
    parser.add_argument("--output", type=Path, required=True, help="folder for the results")
    parser.add_argument(
        "--partition",
        default="test",
        choices=["train", "validation", "test", "all"],
        help="all: for corpora that weren't trained on",
    )
    parser.add_argument("--corpora", nargs="+", help="only these corpora")
    parser.add_argument("--languages", nargs="+", help="only these languages")
    parser.add_argument("--max_seconds", type=float, help="crop; by default that of the model's training")
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--kernels", default="auto", choices=KERNELS, help="of a processor; results equal to 1e-5")
    parser.add_argument("--baselines", action="store_true", help="also train and evaluate the baselines")
    parser.add_argument(
        "--calibrate", action="store_true", help="first fit the temperature on the validation partition, and keep it"
    )
    parser.add_argument("--card", action="store_true", help="also write the model card, into the model's folder")
    parser.add_argument(
        "--compare", nargs="+", default=[], metavar="NAME=FOLDER", help="results of other models to compare with"
    )
    options = parser.parse_args(arguments)

    if wrong := [item for item in options.compare if "=" not in item]:
        raise ValueError(f"--compare {wrong[0]}: expected NAME=FOLDER, such as plain=runs/plain/evaluation.")
    if options.batch_size < 1 or (options.max_seconds is not None and options.max_seconds <= 0):
        raise ValueError("--batch_size and --max_seconds must be above 0.")
    run = record(Path(options.model))
    data = open_data(options.data, options.corpora, run, options.partition == "all")
    if options.partition == "all":
        if known := sorted(set(run.get("corpora", ())) & {name for rows in data.values() for name in rows["corpus"]}):
            raise ValueError(
                f"--partition all would test on what the model was trained on: {', '.join(known)}. "
                "Name other corpora by --corpora."
            )
        data["all"] = datasets.concatenate_datasets(list(data.values()))
    if options.partition not in data:
        raise ValueError(
            f"{options.data} has no {options.partition} partition for this choice; it has {', '.join(data)}."
        )
    rows, training = data[options.partition], data.get("train")
    for column, wanted in (("corpus", options.corpora), ("language", options.languages)):
        if wanted:
            rows = only(rows, column, wanted)
    if options.baselines and options.partition in ("all", "train"):
        raise ValueError(f"--baselines learn from the train partition, so --partition {options.partition} can't be.")
    if options.baselines and training is None:
        raise ValueError(f"{options.data} has no train partition for the baselines to learn from.")
    exported = is_exported(options.model)
    model = OnnxModel(options.model) if exported else load_classifier(options.model)
    model = model.to(torch.accelerator.current_accelerator() or "cpu")
    keep_freed_memory()
    if not exported:
        use_kernels(model, options.kernels)
    names = names_by_index(model.config.id2label)
    if names != rows.features["label"].names:
        raise ValueError(f"{options.model} has the classes {names}, {options.data} has {rows.features['label'].names}.")
    max_seconds = options.max_seconds or getattr(model.config, "window_seconds", None) or 3.0
    alike = {
        "utterances_sha256": hashlib.sha256("\n".join(sorted(rows["utterance_id"])).encode()).hexdigest(),
        "max_seconds": max_seconds,
    }
    comparisons = dict(item.split("=", 1) for item in options.compare)
    others = read_predictions(comparisons, alike)
    extractor = feature_extractor_of(options.model, model.config)
    if options.calibrate:
        if options.partition == "validation" or "validation" not in data:
            raise ValueError("--calibrate learns from the validation partition, so that must exist and not be tested.")
        model.config.logit_temperature = None
        heard = predict_rows(model, extractor, data["validation"], max_seconds, options.batch_size)
        model.config.logit_temperature = fit_temperature(heard["label"], heard[[f"p_{name}" for name in names]])
        keep_temperature(Path(options.model), model.config.logit_temperature)
    table = predict_rows(model, extractor, rows, max_seconds, options.batch_size)
    baselines = baseline_predictions(training, rows) if options.baselines else {}
    others |= {name: table.assign(prediction=predicted) for name, predicted in baselines.items()}
    unseen = sorted(set(rows["language"]) - trained_languages(run, training, rows))
    summary = json.loads((Path(options.data) / "summary.json").read_text(encoding="utf-8"))
    corpora = {name: summary[name] for name in sorted(set(table["corpus"]))}
    result = {
        "model": str(options.model),
        "partition": options.partition,
        **alike,
        "speaker_independent": all(facts["speaker_independent"] for facts in corpora.values()),
        "temperature": getattr(model.config, "logit_temperature", None),
        "synthetic": all(facts["kind"] == "synthetic" for facts in corpora.values()),
        "corpora": {name: {key: facts[key] for key in SHOWN} for name, facts in corpora.items()},
        **results(table, names, baselines, unseen),
        "paired": compare_all(table, others, unseen),
    }
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / "results.json"
    path.unlink(missing_ok=True)  # it is written last and speaks for all files
    table.to_csv(options.output / "predictions.csv", index=False)
    kind = "synthetic demo speech" if result["synthetic"] else f"{options.partition} partition"
    title = f"UAR {uar_text(result['overall'])} %, {kind}"
    plot_confusion(result["overall"]["confusion_matrix"], names, options.output / "confusion.png", title)
    groups = result["by_corpus"] if len(corpora) > 1 else result["by_language"]
    plot_groups({"all": result["overall"]} | groups | result["baselines"], options.output / "groups.png", title)
    plot_confidence(result["calibration"], options.output / "confidence.png", title)
    write_results(result, path)
    print(markdown_table({"all": result["overall"]} | groups | result["baselines"], "on"))
    if others:
        print(paired_table(result["paired"]))
    if options.card:
        template = Path(__file__).resolve().parents[1] / "model_card" / "template.md"
        print(f"card: {card.write_card(options.model, options.output, template, comparisons)}")
    if not result["speaker_independent"]:
        print("Some of these corpora name no speakers: their figures are not speaker-independent.")


def record(model: Path) -> dict[str, Any]:
    """The model's own record of its training; empty for a model without one."""
    path = model / "run.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def open_data(folder: str, corpora: list[str] | None, run: dict[str, Any], whole: bool = False) -> datasets.DatasetDict:
    """The dataset in the partitions the model was trained in: those of its build, also if `whole`, or of a fold."""
    used = run.get("data", {})
    if whole or used.get("protocol", "held_out") == "held_out":
        return load(folder, corpora)
    data = load(folder, used["corpora"], used["languages"])
    data, fold = apply_protocol(data, used["protocol"], used["fold"], used["folds"])
    if hash_of_seen(data) != run["seen_sha256"]:
        raise ValueError(
            f"The model was trained in {run['fold']} of protocol {used['protocol']}, on other utterances than {fold} "
            f"in {folder} has; evaluate it on the dataset it was trained on."
        )
    return data


def keep_temperature(model: Path, temperature: float) -> None:
    """Writes the temperature into the model's config.json, where the pipeline finds it."""
    path = model / "config.json"
    if not path.is_file():
        raise ValueError(f"--calibrate writes into the model's folder; {model} isn't one. Download it first.")
    config = json.loads(path.read_text(encoding="utf-8")) | {"logit_temperature": temperature}
    write_whole(path, json.dumps(config, indent=2) + "\n")
    print(f"temperature {temperature:.3f}, fitted on the validation partition, is in {path}")


def only(rows: datasets.Dataset, column: str, wanted: list[str]) -> datasets.Dataset:
    """The rows whose `column` is one of `wanted`."""
    rows = rows.filter(lambda value: value in wanted, input_columns=column)
    if not len(rows):
        raise ValueError(f"No utterance to evaluate has one of {', '.join(wanted)} as its {column}.")
    return rows


def trained_languages(run: dict[str, Any], training, rows) -> set[str]:
    """What the model was trained on: its own record, else the train partition's languages, else all of `rows`."""
    return set(run.get("languages") or (training if training is not None else rows)["language"])


SHOWN = ("name", "licence", "kind", "utterances", "hours", "partition_rule", "speaker_independent", "rejected")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (ValueError, OSError) as error:
        sys.exit(f"evaluate.py: {error}")
