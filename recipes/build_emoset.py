"""Builds corpora on disk into one six-class dataset with speaker-independent partitions.

    python recipes/build_emoset.py --corpus emo_db=corpora/emo_db --corpus urdu=corpora/urdu --output data/emoset

`--corpus NAME=FOLDER` names a corpus of the catalog, or any other name for a folder of your own with a manifest.csv.
"""

import argparse
import sys

from exhubert.emoset import build


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", action="append", required=True, metavar="NAME=FOLDER", help="may be repeated")
    parser.add_argument("--output", required=True, help="folder of the dataset")
    parser.add_argument("--seed", type=int, default=0, help="of the partitions")
    parser.add_argument("--num_proc", type=int, help="processes that decode")
    options = parser.parse_args(arguments)
    roots = {}
    for item in options.corpus:
        name, separator, folder = item.partition("=")
        if not separator:
            raise ValueError(f"--corpus {item}: expected NAME=FOLDER, such as emo_db=corpora/emo_db.")
        roots[name] = folder
    summary = build(roots, options.output, seed=options.seed, num_proc=options.num_proc)
    for facts in summary.values():
        parts = ", ".join(f"{part['utterances']} {name}" for name, part in facts["partitions"].items())
        rule = "" if facts["speaker_independent"] else " (NOT speaker-independent)"
        print(
            f"{facts['name']}: {facts['utterances']} utterances, {facts['hours']} h; {parts}; "
            f"by {facts['partition_rule']}{rule}"
        )
        if facts["dropped_labels"]:
            print(f"  labels that map to no class, dropped: {facts['dropped_labels']}")
        if facts["rejected"]:
            print(f"  {facts['rejected']} unusable recordings, listed with reasons in rejected.jsonl")
    print(f"dataset in {options.output}")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (ValueError, OSError, KeyError) as error:
        sys.exit(f"build_emoset.py: {error.args[0] if isinstance(error, KeyError) else error}")
