"""Converts the published ExHuBERT into a folder that current transformers can load, and compares their outputs.

    python recipes/convert.py amiriparian/ExHuBERT models/exhubert-published

Writes safetensors, configuration, feature extractor, code for use without this package, and a model card.
"""

import argparse
import sys
from pathlib import Path

import torch

from exhubert import ExHuBERTForSequenceClassification
from exhubert.cli.program import run_program
from exhubert.conversion.identity import signal_like_speech
from exhubert.conversion.loading import feature_extractor_of
from exhubert.conversion.published import published_logits
from exhubert.hub.card import write_converted_card
from exhubert.targets import check_model_target, model_folder

TOLERANCE = 2e-5


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="folder or hub id in the published layout")
    parser.add_argument("target", help="folder for the converted model")
    parser.add_argument(
        "--drop_identity_gates", action="store_true", help="leave out frozen gates that are exactly the identity"
    )
    options = parser.parse_args(arguments)
    check_model_target("TARGET", options.target, [options.source])
    model = ExHuBERTForSequenceClassification.from_published(
        options.source, drop_identity_gates=options.drop_identity_gates, window_seconds=3.0
    )
    kept = sum(block.frozen_gate is not None for block in model.blocks)
    signal = signal_like_speech().to(model.dtype)
    with model_folder(options.target) as folder:
        model.save_pretrained(folder)
        feature_extractor_of(options.source, model.config).save_pretrained(folder)
        del model
        converted = ExHuBERTForSequenceClassification.from_pretrained(folder)
        with torch.inference_mode():
            difference = (converted(signal).logits - published_logits(options.source, signal)).abs().max().item()
        template = Path(__file__).resolve().parents[1] / "model_card" / "converted.md"
        write_converted_card(folder, template, converted.config, str(options.source), difference)
    names = ", ".join(converted.config.id2label.values())
    print(f"{len(converted.blocks)} blocks, {kept} of them with a frozen gate; classes {names}")
    print(f"largest logit difference between source and target on a test signal: {difference:.2g}")
    print(f"saved in {options.target}")
    if difference > TOLERANCE:
        raise RuntimeError(f"The logits differ by more than {TOLERANCE:g}: don't use the result, report it.")


if __name__ == "__main__":
    run_program(lambda: main(sys.argv[1:]))
