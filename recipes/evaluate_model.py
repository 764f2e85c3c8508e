"""Evaluates a model on held-out speakers of a built dataset.

    python recipes/evaluate_model.py runs/demo/exhubert --data runs/demo/emoset --output runs/demo/evaluation

Writes results.json (all metrics), predictions.csv (one row per utterance), confusion.png, groups.png and
confidence.png, and prints the table per corpus. With --compare it also tests the difference to other models.
"""

import argparse
import sys
from pathlib import Path

from exhubert.cli.program import run_program
from exhubert.cpu import KERNELS
from exhubert.emoset.labelling.label_spaces import SPACES
from exhubert.evaluation.comparison import paired_table
from exhubert.evaluation.evaluate_model import PARTITION_CHOICES, evaluate_model, groups_of
from exhubert.evaluation.leaks import leak_text
from exhubert.evaluation.report import figures_table
from exhubert.hub.card import check_card, write_card

TEMPLATE = Path(__file__).resolve().parents[1] / "model_card" / "template.md"


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder or hub id; also a folder written by `exhubert export`")
    parser.add_argument("--data", required=True, help="folder of a built dataset")
    parser.add_argument("--output", type=Path, required=True, help="folder for the results")
    parser.add_argument(
        "--partition", default="test", choices=PARTITION_CHOICES, help="all: for corpora the model wasn't trained on"
    )
    parser.add_argument("--corpora", nargs="+", help="only these corpora")
    parser.add_argument("--languages", nargs="+", help="only these languages")
    parser.add_argument(
        "--labels", help=f"label space: {', '.join(SPACES)}, or your own YAML file; by default that of the model"
    )
    parser.add_argument("--max_seconds", type=float, help="window length; by default as in training")
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--kernels", default="auto", choices=KERNELS, help="CPU kernels; results agree to 1e-5")
    parser.add_argument("--baselines", action="store_true", help="also train and evaluate the baselines")
    parser.add_argument(
        "--calibrate", action="store_true", help="first fit the temperature on the validation partition, and save it"
    )
    parser.add_argument("--card", action="store_true", help="also write the model card into the model's folder")
    parser.add_argument(
        "--compare", nargs="+", default=[], metavar="NAME=FOLDER", help="results of other models to compare with"
    )
    parser.add_argument("--protocol", help="name or YAML file, for a model without run.json, or if the file has moved")
    parser.add_argument("--fold", type=int, default=0, help="fold of --protocol, for a model without run.json")
    parser.add_argument(
        "--allow_leak", action="store_true", help="use a protocol whose partitions share speakers; the results say so"
    )
    options = vars(parser.parse_args(arguments))
    card, compare = options.pop("card"), options.pop("compare")
    if wrong := [item for item in compare if "=" not in item]:
        raise ValueError(f"--compare {wrong[0]}: expected NAME=FOLDER, such as plain=runs/plain/evaluation.")
    comparisons = dict(item.split("=", 1) for item in compare)
    if card:
        check_card(options["model"])
    results = evaluate_model(**options, comparisons=comparisons)
    print(figures_table(groups_of(results), "on"))
    if results.paired:
        print(paired_table(results.paired))
    if card:
        print(f"card: {write_card(options['model'], options['output'], TEMPLATE, comparisons)}")
    leak = leak_text(results.shared_speakers)
    if leak:
        print(f"{leak}.")
    if not results.speaker_independent and not leak.startswith("NOT"):
        print("Some of these corpora name no speakers, or too few: their figures are not speaker-independent.")


if __name__ == "__main__":
    run_program(lambda: main(sys.argv[1:]))
