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

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from exhubert.emoset import load
from exhubert.evaluation.baselines import baseline_predictions
from exhubert.evaluation.comparison import compare_arms, cross_corpus_matrix, markdown, read_arm
from exhubert.evaluation.plots import plot_arms
from exhubert.evaluation.predict import KEPT, predict_rows
from exhubert.evaluation.protocols import PROTOCOLS, apply_protocol, folds, table_of
from exhubert.extension import feature_extractor_of, load_classifier
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
    parser.add_argument("--one_arm", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if wrong := [item for item in options.set if "=" not in item]:
        raise ValueError(f"--set {wrong[0]}: expected FIELD=VALUE, such as num_train_epochs=8.")
    shared = [word for item in options.set for word in ("--" + item).split("=", 1)]
    names = [config.stem for config in options.configs]
    if len(set(names)) < len(names):
        raise ValueError(f"Two configurations have the same name, which is the arm's: {', '.join(names)}.")
    for config in options.configs:
        parse_arguments([str(config), *shared])  # an error in the last arm must not show after hours
    data = load(options.data, options.corpora)
    number = len(folds(options.protocol, table_of(data), options.folds))
    jobs = [(seed, fold) for seed in range(options.seeds) for fold in range(number)]
    if options.one_arm:
        for seed, fold in tqdm(jobs, desc=names[0], unit="run"):
            train_and_test(options, shared, seed, fold)
        return
    for config in options.configs:
        if not all((options.output / config.stem / run_name(*job) / "predictions.csv").is_file() for job in jobs):
            others = {str(other) for other in options.configs if other != config}
            words = [word for word in arguments if word not in others]
            subprocess.run([sys.executable, __file__, *words, "--one_arm"], check=True)
    report(options, data, number)


def run_name(seed: int, fold: int) -> str:
    return f"seed{seed}/fold{fold:02d}"


def train_and_test(options: argparse.Namespace, shared: list[str], seed: int, fold: int) -> None:
    """One run of an arm: its predictions and its record are kept, its weights aren't."""
    folder = options.output / options.configs[0].stem / run_name(seed, fold)
    if (folder / "predictions.csv").is_file():
        return
    shutil.rmtree(folder, ignore_errors=True)
    wanted = {
        "data": options.data, "output_dir": folder, "protocol": options.protocol, "folds": options.folds, "fold": fold,
        "seed": seed, "report_to": "none", "disable_tqdm": "true", "logging_steps": 1000000, "save_total_limit": 1,
    }  # fmt: skip
    fields = [word for name, value in wanted.items() for word in (f"--{name}", str(value))]
    if options.corpora:
        fields += ["--corpora", *options.corpora]
    model_args, data_args, args = parse_arguments([str(options.configs[0]), *shared, *fields])
    fine_tune(model_args, data_args, args)
    data, _ = apply_protocol(load(options.data, options.corpora), options.protocol, fold, options.folds)
    model = load_classifier(folder)
    table = predict_rows(model, feature_extractor_of(folder, model.config), data["test"], data_args.max_seconds)
    for path in (*folder.glob("checkpoint-*"), *folder.glob("*.safetensors"), *folder.glob("training_args.bin")):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    table.to_csv(folder / "predictions.incomplete", index=False)
    (folder / "predictions.incomplete").replace(folder / "predictions.csv")


def report(options: argparse.Namespace, data, number: int) -> None:
    """Writes results.json, table.md and comparison.png from the runs' files."""
    classes = next(iter(data.values())).features["label"].names
    arms, cost, records = {}, {}, {}
    for config in options.configs:
        arms[config.stem], runs = read_arm(options.output / config.stem)
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
