"""Builds corpora on disk into one six-class dataset with speaker-independent partitions.

    python recipes/build_emoset.py --root corpora --output data/emoset
    python recipes/build_emoset.py --corpus emo_db=corpora/emo_db --corpus mine=corpora/mine --output data/emoset

The same as `exhubert emoset build`, whose `--help` explains the options.
"""

import sys

from exhubert.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["emoset", "build", *sys.argv[1:]]))
