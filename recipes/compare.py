"""Compares training configurations (arms) on the same utterances, folds and seeds, in a table and a plot.

    python recipes/compare.py recipes/configs/arms/*.yaml --data runs/demo/emoset --output runs/compare --seeds 3 \
        --set model=runs/demo/foundation num_train_epochs=8

Each arm is a configuration of recipes/train.py; the others are compared with the first, paired by speaker.
`--set field=value` sets a field for all arms. Finished runs aren't repeated, so an interrupted comparison resumes where
it stopped. Each arm runs in a separate process, whose peak memory is reported.
"""

import argparse
import sys
from pathlib import Path

from exhubert.cli.program import run_program
from exhubert.training.arms import Experiment, run_experiment


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("configs", nargs="+", type=Path, metavar="CONFIG.yaml")
    parser.add_argument("--data", required=True, help="folder of a built dataset")
    parser.add_argument("--corpora", nargs="+", help="only these corpora")
    parser.add_argument("--output", type=Path, required=True, help="folder for runs and results")
    parser.add_argument(
        "--protocol",
        default="speaker_folds",
        help="protocol of recipes/train.py, a name that `exhubert emoset protocols` lists, or a YAML file",
    )
    parser.add_argument(
        "--allow_leak", action="store_true", help="use a protocol whose partitions share speakers; the table says so"
    )
    parser.add_argument("--folds", type=int, default=5, help="number of folds of protocol speaker_folds")
    parser.add_argument("--seeds", type=int, default=3, help="number of runs of each arm on each fold")
    parser.add_argument(
        "--set",
        nargs="+",
        default=[],
        dest="fields",
        metavar="FIELD=VALUE",
        help="fields of recipes/train.py, for all arms",
    )
    print(run_experiment(Experiment(**vars(parser.parse_args(arguments)))))


if __name__ == "__main__":
    run_program(lambda: main(sys.argv[1:]))
