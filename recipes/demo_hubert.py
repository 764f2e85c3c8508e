"""Creates the tiny HuBERT of the demo, untrained: a fixed filter bank as convolutions and a random transformer.

python recipes/demo_hubert.py --data runs/demo/emoset --output runs/demo/hubert --languages en de
"""

import argparse
import sys

from exhubert import SIX_CLASSES, default_feature_extractor
from exhubert.cli.program import run_program
from exhubert.demo.filterbank import filterbank_hubert
from exhubert.emoset.dataset import decode, load
from exhubert.targets import check_model_target, model_folder

CALIBRATION_CLIPS = 200


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder of the built demo corpus")
    parser.add_argument("--output", required=True, help="folder for the model")
    parser.add_argument("--languages", nargs="+", help="only clips in these languages calibrate the filter bank")
    parser.add_argument("--seed", type=int, default=0, help="seed of the transformer's random weights")
    options = parser.parse_args(arguments)
    check_model_target("--output", options.output, [options.data])
    rows = load(options.data, languages=options.languages)["train"].shuffle(seed=options.seed)
    clips = [decode(row["audio"]) for row in rows.select(range(min(CALIBRATION_CLIPS, len(rows))))]
    clips = [(clip - clip.mean()) / clip.std() for clip in clips]
    model = filterbank_hubert(clips, SIX_CLASSES, seed=options.seed)
    with model_folder(options.output) as folder:
        model.save_pretrained(folder)
        default_feature_extractor(model.config).save_pretrained(folder)
    print(f"a HuBERT of {model.num_parameters():,} parameters in {options.output}")


if __name__ == "__main__":
    run_program(lambda: main(sys.argv[1:]))
