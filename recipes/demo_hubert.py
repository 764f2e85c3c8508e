"""Makes the demo's tiny HuBERT: a fixed filter bank for convolutions, a random transformer, no training yet.

python recipes/demo_hubert.py --data runs/demo/emoset --output runs/demo/hubert --languages en de
"""

import sys
from pathlib import Path

# this folder's evaluate.py would hide the library of that name
sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != Path(__file__).resolve().parent]

import argparse

from exhubert import SIX_CLASSES, default_feature_extractor
from exhubert.emoset import load
from exhubert.demo.filterbank import filterbank_hubert
from exhubert.emoset.batches import decode

CALIBRATION_CLIPS = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder of the built demo corpus")
    parser.add_argument("--output", required=True, help="folder for the model")
    parser.add_argument("--languages", nargs="+", help="only clips in these languages calibrate the filter bank")
    parser.add_argument("--seed", type=int, default=0, help="of the transformer's random weights")
    options = parser.parse_args()
    rows = load(options.data, languages=options.languages)["train"].shuffle(seed=options.seed)
    clips = [decode(row["audio"]) for row in rows.select(range(min(CALIBRATION_CLIPS, len(rows))))]
    clips = [(clip - clip.mean()) / clip.std() for clip in clips]
    model = filterbank_hubert(clips, SIX_CLASSES, seed=options.seed)
    model.save_pretrained(options.output)
    default_feature_extractor(model.config).save_pretrained(options.output)
    print(f"a HuBERT of {model.num_parameters():,} parameters in {options.output}")


if __name__ == "__main__":
    main()
