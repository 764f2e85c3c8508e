"""Uploads a trained and evaluated model to the Hub: weights, code, feature extractor, card, plots and results.

    python recipes/push_to_hub.py runs/base me/exhubert-base --dry-run
    python recipes/push_to_hub.py runs/base me/exhubert-base
    python recipes/push_to_hub.py runs/base me/exhubert-base --public --accept_corpora iemocap
    python recipes/push_to_hub.py runs/base me/exhubert-base --space

The repository is private unless you pass --public, which is refused if the licence of the model or the terms of a
training corpus forbid it. With --space, the web page of `exhubert app` is then uploaded to a Space of the same name.
The token comes from `hf auth login` or HF_TOKEN, and is sent to the Hub only.
"""

import argparse
import sys

from exhubert.cli.program import run_program
from exhubert.hub.space import plan_space
from exhubert.hub.upload import plan, push


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder of a run, with its card")
    parser.add_argument("repository", help="owner/name on the Hub; created if it doesn't exist")
    parser.add_argument("--evaluation", help="folder written by evaluate_model.py; MODEL/evaluation by default")
    parser.add_argument("--public", action="store_true", help="make the repository public")
    parser.add_argument(
        "--accept_corpora",
        nargs="+",
        default=[],
        metavar="CORPUS",
        help="corpora whose terms you have read and which allow public weights; `unknown` for unrecorded ones",
    )
    parser.add_argument(
        "--benchmark",
        metavar="OWNER/DATASET:TASK",
        help="benchmark on the Hub that the model was evaluated on; its leaderboard will show the UAR",
    )
    parser.add_argument("--space", action="store_true", help="also create a Space of the same name with the web page")
    parser.add_argument(
        "--dry-run", "--dry_run", action="store_true", help="list what would be uploaded, and send nothing"
    )
    options = parser.parse_args(arguments)
    planned = plan(
        options.model,
        options.repository,
        options.evaluation,
        options.public,
        options.accept_corpora,
        options.benchmark,
    )
    plans = [planned, plan_space(planned)] if options.space else [planned]
    print(*plans, sep="\n\n", flush=True)
    if options.space and not options.public:
        print(f"the Space needs a secret HF_TOKEN that may read {options.repository}, set in its settings on the Hub")
    planned.refuse_unless_allowed()
    if options.dry_run:
        print("nothing was sent")
    else:
        for each in plans:
            print(f"sent: {push(each)}", flush=True)


if __name__ == "__main__":
    run_program(lambda: main(sys.argv[1:]))
