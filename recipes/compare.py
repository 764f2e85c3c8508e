"""Trains several arms on the same utterances, folds and seeds, and writes one table and one plot.

    python recipes/compare.py recipes/configs/arms/*.yaml --data runs/demo/emoset --output runs/compare --seeds 3 \
        --set model=runs/demo/foundation num_train_epochs=8

Each arm is a configuration of recipes/train.py; the first one is what the others are set against, paired by speaker.
`--set field=value` sets a field for all arms. A run that is finished isn't done again, so a comparison
that was stopped goes on where it was. Each arm has a process of its own, whose peak memory is reported.
"""

import sys
from pathlib import Path

# this folder's evaluate.py would hide the library of that name
sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != Path(__file__).resolve().parent]

import argparse
import json
import shutil
import subprocess
from dataclasses import asdict

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from exhubert.emoset import load
from exhubert.evaluation.baselines import baseline_predictions
from exhubert.evaluation.comparison import compare_arms, cross_corpus_matrix, markdown, read_arm
from exhubert.evaluation.plots import plot_arms
from exhubert.evaluation.predictions import KEPT, predict_rows
from exhubert.evaluation.protocols import PROTOCOLS, apply_protocol, folds, table_of
from exhubert.conversion.extension import feature_extractor_of, load_classifier
from exhubert.cpu import use_kernels
from exhubert.training import fine_tune, parse_arguments


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("configs", nargs="+", type=Path, metavar="CONFIG.yaml")
    parser.add_argument("--data", required=True, help="folder of a built dataset")
    parser.add_argument("--corpora", nargs="+", help="only these corpora")
    parser.add_argument("--output", type=Path, required=True, help="folder for runs and results")
    parser.add_argument("--protocol", default="speaker_folds", choices=PROTOCOLS)
    parser.add_argument("--folds", type=int, default=5, help="of protocol speaker_folds")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each arm on each fold")
    parser.add_argument("--set", nargs="+", default=[], metavar="FIELD=VALUE", help="for all arms, as recipes/train.py")
    parser.add_argument("--one_arm", metavar="NAME", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if wrong := [item for item in options.set if "=" not in item]:
        raise ValueError(f"--set {wrong[0]}: expected FIELD=VALUE, such as num_train_epochs=8.")
    names = [config.stem for config in options.configs]
    if len(set(names)) < len(names):
        raise ValueError(f"Two configurations have the same name, which is the arm's: {', '.join(names)}.")
    # an error in the last arm must not show after hours
    parsed = [parse_arguments([str(config), *fields_of(options)]) for config in options.configs]
    languages = parsed[0][1].languages
    if any((arm.languages, arm.corpora) != (languages, options.corpora) for _, arm, _ in parsed):
        raise ValueError("The arms name different `corpora` or `languages`; give them all the same data.")
    data = load(options.data, options.corpora, languages)
    number = len(folds(options.protocol, table_of(data), options.folds))
    jobs = [(seed, fold) for seed in range(options.seeds) for fold in range(number)]
    if options.one_arm:
        config = options.configs[names.index(options.one_arm)]
        for seed, fold in tqdm(jobs, desc=config.stem, unit="run"):
            train_and_test(options, config, seed, fold)
        return
    for config, arm in zip(options.configs, parsed, strict=True):
        keep_settings(options, config, arm)
        if not all((run_folder(options, config, *job) / "predictions.csv").is_file() for job in jobs):
            subprocess.run([sys.executable, __file__, *arguments, "--one_arm", config.stem], check=True)
    report(options, data, number, jobs)


def fields_of(options: argparse.Namespace) -> list[str]:
    """What all arms share, as options of recipes/train.py."""
    wanted = {"data": options.data, "protocol": options.protocol, "folds": options.folds}
    words = [word for item in options.set for word in ("--" + item).split("=", 1)]
    words += [word for name, value in wanted.items() for word in (f"--{name}", str(value))]
    return words + (["--corpora", *options.corpora] if options.corpora else [])


def keep_settings(options: argparse.Namespace, config: Path, arm) -> None:
    """Writes down what an arm's runs were made with, or raises where there are runs made with something else."""
    model_args, data_args, args = arm
    training = {key: value for key, value in args.to_sanitized_dict().items() if "dir" not in key}
    summary = json.loads((Path(options.data) / "summary.json").read_text(encoding="utf-8"))
    settings = {
        "data": {name: facts["fingerprint"] for name, facts in summary.items()},
        "arm": [asdict(model_args), asdict(data_args) | {"data": ""}, training],
    }
    settings = json.loads(json.dumps(settings, default=str))
    path = options.output / config.stem / "settings.json"
    if path.is_file() and json.loads(path.read_text(encoding="utf-8")) != settings:
        raise ValueError(f"{path.parent} holds runs with other settings or data; give another --output, or delete it.")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def run_folder(options: argparse.Namespace, config: Path, seed: int, fold: int) -> Path:
    return options.output / config.stem / f"seed{seed}" / f"fold{fold:02d}"


def train_and_test(options: argparse.Namespace, config: Path, seed: int, fold: int) -> None:
    """One run of an arm: its predictions and its record are kept, its weights aren't."""
    folder = run_folder(options, config, seed, fold)
    if (folder / "predictions.csv").is_file():
        return
    shutil.rmtree(folder, ignore_errors=True)
    wanted = {
        "output_dir": folder, "fold": fold, "seed": seed, "report_to": "none", "disable_tqdm": "true",
        "logging_steps": 1000000, "save_total_limit": 1,
    }  # fmt: skip
    fields = [word for name, value in wanted.items() for word in (f"--{name}", str(value))]
    model_args, data_args, args = parse_arguments([str(config), *fields_of(options), *fields])
    fine_tune(model_args, data_args, args)
    data = load(data_args.data, data_args.corpora, data_args.languages)
    data, _ = apply_protocol(data, data_args.protocol, fold, data_args.folds)
    model = load_classifier(folder)
    use_kernels(model)
    table = predict_rows(model, feature_extractor_of(folder, model.config), data["test"], data_args.max_seconds)
    for path in (*folder.glob("checkpoint-*"), *folder.glob("*.safetensors"), *folder.glob("training_args.bin")):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    table.to_csv(folder / "predictions.incomplete", index=False)
    (folder / "predictions.incomplete").replace(folder / "predictions.csv")


def report(options: argparse.Namespace, data, number: int, jobs: list[tuple[int, int]]) -> None:
    """Writes results.json, table.md and comparison.png from the runs' files."""
    classes = next(iter(data.values())).features["label"].names
    arms, cost, records = {}, {}, {}
    for config in options.configs:
        arms[config.stem], runs = read_arm([run_folder(options, config, *job) for job in jobs])
        cost[config.stem] = {
            "parameters": runs[0]["parameters"]["trainable"],
            "seconds": float(np.mean([run["seconds"] for run in runs])),
            "memory_mb": max(run["memory_mb"] for run in runs),
        }
        records[config.stem] = {"training": runs[0]["training"], "model": runs[0]["model"], "data": runs[0]["data"]}
    arms |= baseline_arms(options, data, number)
    result = {"protocol": options.protocol, "folds": number, "seeds": options.seeds, "classes": classes}
    result |= {"arms": compare_arms(arms, classes), "cost": cost, "settings": records}
    if options.protocol == "cross_corpus":
        result["matrix"] = {
            name: cross_corpus_matrix(dict(list(pd.concat(tables).groupby("fold"))), classes).to_dict()
            for name, tables in arms.items()
        }
    text = markdown(result["arms"], cost)
    (options.output / "results.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    (options.output / "table.md").write_text(text + "\n", encoding="utf-8")
    title = f"{options.protocol.replace('_', ' ')}, {number} folds, {options.seeds} seeds"
    plot_arms(result["arms"], options.output / "comparison.png", title)
    print(text)


def baseline_arms(options: argparse.Namespace, data, number: int) -> dict:
    """The baselines on the same folds; they draw nothing at random, so one seed says all."""
    tables: dict[str, list] = {}
    for fold in range(number):
        divided, name = apply_protocol(data, options.protocol, fold, options.folds)
        kept = divided["test"].select_columns(KEPT).to_pandas().assign(fold=name)
        for baseline, predicted in baseline_predictions(divided["train"], divided["test"]).items():
            tables.setdefault(baseline, []).append(kept.assign(prediction=predicted))
    return {name: [pd.concat(found, ignore_index=True)] * options.seeds for name, found in tables.items()}


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (ValueError, OSError) as error:
        sys.exit(f"compare.py: {error}")
