"""Fine-tunes an ExHuBERT (or, for comparison, a plain HuBERT) on a built dataset.

    accelerate launch recipes/train.py recipes/configs/demo.yaml --output_dir runs/demo

Any field of the configuration can be given as `--field value`; `--dry_run` does one step and says what the run would
take. The run's folder ends up with the best model, its feature extractor, `trainer_state.json` and `run.json`, from
which the model card is rendered.
"""

import sys
from pathlib import Path

# this folder's evaluate.py would hide the library of that name
sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != Path(__file__).resolve().parent]

from exhubert.training import InvariantError, fine_tune, parse_arguments


def main(arguments: list[str]) -> None:
    model_args, data_args, args = parse_arguments(arguments)
    run = fine_tune(model_args, data_args, args)
    if args.should_save and not args.dry_run:
        print(
            f"validation UAR {100 * run['validation']['uar']:.1f} %; "
            f"model, trainer_state.json and run.json are in {args.output_dir}"
        )


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (ValueError, OSError, InvariantError) as error:
        sys.exit(f"train.py: {error}")
