"""Extends a HuBERT to an untrained ExHuBERT, and verifies that both compute the same.

python recipes/extend.py facebook/hubert-base-ls960 models/exhubert-base
"""

import argparse
import sys

from exhubert.cli.program import run_program
from exhubert.conversion.identity import identity_report, signal_like_speech
from exhubert.conversion.loading import feature_extractor_of, load_hubert
from exhubert.labels import SIX_CLASSES
from exhubert.modeling_exhubert import ExHuBERTForSequenceClassification
from exhubert.targets import check_model_target, model_folder


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", help="folder or hub id of a HuBERT")
    parser.add_argument("output", help="folder for the ExHuBERT")
    parser.add_argument(
        "--labels", nargs="+", default=list(SIX_CLASSES), help="class names in logit order, or their number"
    )
    options = parser.parse_args(arguments)
    check_model_target("OUTPUT", options.output, [options.base])
    labels = int(options.labels[0]) if len(options.labels) == 1 and options.labels[0].isdecimal() else options.labels
    hubert = load_hubert(options.base)
    model = ExHuBERTForSequenceClassification.from_hubert(hubert, labels)
    report = identity_report(model, hubert, {"input_values": signal_like_speech()})
    with model_folder(options.output) as folder:
        model.save_pretrained(folder)
        feature_extractor_of(options.base, model.config).save_pretrained(folder)
    total, trainable = model.num_parameters(), model.num_parameters(only_trainable=True)
    print(f"{len(model.blocks)} blocks, {total:,} parameters, {trainable:,} of them trainable")
    print(f"difference to the HuBERT: {report.hidden_states:g} in hidden states, {report.logits:g} in logits")
    print(f"saved in {options.output}")
    if not report.identical:
        raise RuntimeError("The extended model doesn't compute what the HuBERT does; don't train it, report it.")


if __name__ == "__main__":
    run_program(lambda: main(sys.argv[1:]))
