"""Fine-tunes an ExHuBERT (or, for comparison, a plain HuBERT) on a built dataset.

    accelerate launch recipes/train.py recipes/configs/demo.yaml --output_dir runs/demo

Any field of the configuration can be given as `--field value`; `--dry_run` runs one step and estimates the time and
memory of the run. Afterwards the run's folder holds the best model, its feature extractor, `trainer_state.json` and
`run.json`, from which the model card is rendered.
"""

import sys

from exhubert.cli.program import run_program
from exhubert.evaluation.leaks import leak_text
from exhubert.records import Run
from exhubert.training import fine_tune, parse_arguments


def main(arguments: list[str]) -> None:
    model_args, data_args, args = parse_arguments(arguments)
    run = fine_tune(model_args, data_args, args)
    if args.should_save and isinstance(run, Run):
        print(
            f"validation UAR {100 * run.validation['uar']:.1f} %; "
            f"model, trainer_state.json and run.json are in {args.output_dir}"
        )
        if run.shared_speakers:
            print(f"{leak_text(run.shared_speakers)}.")


if __name__ == "__main__":
    run_program(lambda: main(sys.argv[1:]))
