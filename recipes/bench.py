"""Times our prediction, training, loading and building against published usage, taking turns, on this machine.

    python recipes/bench.py all --size tiny
    python recipes/bench.py predict --model runs/demo/exhubert --onnx runs/demo/onnx --data runs/demo/emoset
    python recipes/bench.py data --corpus emo_db=corpora/emo_db

Published usage is what the published code and its card do: fp32, one clip at a time, padded to 3 s, a linear after
every frozen copy; `exhubert.benchmark.cases` reproduces it on the same weights. Each case has a process of its own,
whose peak memory is reported, and the cases take turns round by round, since machines drift. Without --model a model
with random weights is used, without --data clips of noise from 1 to 3 s: speed doesn't depend on what they hold.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

# this folder's evaluate.py would hide the library of that name
sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != Path(__file__).resolve().parent]

import numpy as np
import soundfile
import torch
from transformers import HubertConfig, HubertForSequenceClassification

from exhubert import SIX_CLASSES, ExHuBERTForSequenceClassification, default_feature_extractor
from exhubert.benchmark import cases
from exhubert.benchmark.building import building
from exhubert.benchmark.harness import Measured, machine, take_turns
from exhubert.benchmark.report import markdown, plot
from exhubert.emoset import load
from exhubert.evaluation import ser_metrics
from exhubert.training.collator import decode

SIZES = {
    "tiny": {"hidden_size": 128, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 384},
    "base": {},
    "large": {
        "hidden_size": 1024,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "intermediate_size": 4096,
        "do_stable_layer_norm": True,
        "feat_extract_norm": "layer",
        "conv_bias": True,
    },
}
PARTS = ("predict", "train", "load", "data")


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=[*PARTS, "all"])
    parser.add_argument("--size", choices=SIZES, default="tiny", help="of the random model")
    parser.add_argument("--model", help="folder of a classifier, instead of a random one")
    parser.add_argument("--onnx", nargs="+", default=[], help="predict: folders that `exhubert export` wrote from it")
    parser.add_argument("--data", help="folder of a built dataset, whose test partition is used")
    parser.add_argument("--corpora", nargs="+", help="only these corpora of --data")
    parser.add_argument("--clips", type=int, default=16, help="how many at most")
    parser.add_argument("--batch_size", type=int, default=2, help="train")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cases", nargs="+", help="only the cases whose names have one of these words, and the first")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", type=Path, help="also write the figures here, and a plot beside them")
    parser.add_argument("--utterances", type=int, default=500, help="data: size of the made-up tree")
    parser.add_argument("--seconds", type=float, default=0.1, help="data: length of each made-up recording")
    parser.add_argument("--corpus", metavar="NAME=FOLDER", help="data: a corpus on disk instead")
    parser.add_argument("--num_proc", type=int, help="data: processes of the builder")
    options = parser.parse_args(arguments)
    wanted = PARTS if options.part == "all" else (options.part,)
    report: dict = {"parts": {}}
    with tempfile.TemporaryDirectory() as work:
        if wanted != ("data",):
            torch.set_num_threads(options.threads)
            report["machine"] = machine()
            model = options.model or random_model(options.size, Path(work) / "model")
            files, labels = recordings(options, Path(work) / "clips")
            for part in wanted:
                if part != "data":
                    print(f"{part} ...", file=sys.stderr)
                    found = PART[part](options, str(model), files, labels, report["machine"])
                    report["parts"][part] = found
                    print(markdown(report | {"parts": {part: found}}), flush=True)
    if "data" in wanted:
        report["data"] = building(options.corpus, options.utterances, options.seconds, options.num_proc)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        if report["parts"]:
            plot(report, options.json.with_suffix(".png"))


def random_model(size: str, folder: Path) -> Path:
    """An ExHuBERT whose weights are drawn and whose gates are open, so that nothing can be left out."""
    torch.manual_seed(0)
    config = HubertConfig(num_labels=len(SIX_CLASSES), **SIZES[size])
    model = ExHuBERTForSequenceClassification.from_hubert(HubertForSequenceClassification(config), list(SIX_CLASSES))
    for gate in model.gates.values():
        gate.reset_parameters()
    model.save_pretrained(folder)
    default_feature_extractor(model.config).save_pretrained(folder)
    return folder


def recordings(options: argparse.Namespace, folder: Path) -> tuple[list[str], list[int] | None]:
    """Wav files of at most --clips utterances, and their class indices where they have any."""
    folder.mkdir()
    draw = np.random.default_rng(0)
    if options.data:
        rows = load(options.data, options.corpora)["test"]
        rows = rows.select(draw.permutation(len(rows))[: options.clips])
        clips, labels = [decode(row["audio"]) for row in rows], list(rows["label"])
    else:
        lengths = draw.uniform(1.0, 3.0, options.clips)
        clips, labels = [0.1 * draw.standard_normal(round(16_000 * seconds)) for seconds in lengths], None
    files = [folder / f"{index:05d}.wav" for index in range(len(clips))]
    for file, clip in zip(files, clips, strict=True):
        soundfile.write(file, clip, 16_000, subtype="FLOAT")
    return [str(file) for file in files], labels


def predict(options, model: str, files: list[str], labels: list[int] | None, machine: dict) -> dict:
    common = {"files": files, "threads": options.threads}
    ours, published = cases.predicting, cases.predicting_as_published
    jobs = {
        "published usage, fp32": (published, {"model": model, **common}),
        "fp32, a clip at a time": (ours, {"model": model, **common}),
        "fp32, batches of 8": (ours, {"model": model, **common, "batch_size": 8}),
        "bf16, batches of 8": (ours, {"model": model, **common, "batch_size": 8, "dtype": "bfloat16"}),
    }
    for folder in options.onnx:
        exported = json.loads((Path(folder) / "export.json").read_text(encoding="utf-8"))
        name = f"ONNX, {'int8' if exported['int8'] else 'fp32'}"
        jobs[name] = (ours, {"model": folder, **common})
    jobs = chosen(jobs, options.cases)
    measured = take_turns(jobs, options.rounds)
    plain = measured.get("fp32, a clip at a time", next(iter(measured.values()))).found["classes"]
    for name, found in measured.items():
        classes = found.found.pop("classes")
        found.found["agreement"] = float(np.mean([a == b for a, b in zip(classes, plain, strict=True)]))
        found.found["uar"] = None if labels is None else ser_metrics(labels, classes, list(SIX_CLASSES))["uar"]
        flops = found.found.pop("flops", 0)
        roof = machine["roof_gflops"]["bfloat16" if "bf16" in name else "float32"]
        found.found["roof_share"] = flops / found.median / 1e9 / roof if flops else None
    seconds = sum(soundfile.info(file).duration for file in files)
    what = f"{len(files)} recordings, {seconds:.0f} s of audio; same class as ours in fp32"
    return summary(measured, what, len(files), options)


def train(options, model: str, files: list[str], labels: list[int] | None, machine: dict) -> dict:
    clips = [soundfile.read(file, dtype="float32")[0][:48_000] for file in files]
    common = {"model": model, "clips": clips, "threads": options.threads, "batch_size": options.batch_size}
    settings = {
        "published usage, fp32": {"published": True},
        "fp32": {},
        "bf16": {"bf16": True},
        "fp32, checkpointing": {"checkpointing": True},
        "fp32, checkpointing, Adafactor": {"checkpointing": True, "optimizer": "adafactor"},
    }
    measured: dict[str, Measured] = {}
    first, *others = chosen(settings, options.cases)
    for name in others or [first]:  # two at a time: large models don't all fit into memory
        pair = {case: (cases.training, common | settings[case]) for case in dict.fromkeys((first, name))}
        found = take_turns(pair, options.rounds)
        measured.setdefault(first, found[first])
        scale = measured[first].median / found[first].median
        found[name].seconds = [seconds * scale for seconds in found[name].seconds]
        measured[name] = found[name]
    what = f"an epoch over {len(clips)} clips of at most 3 s, batches of {options.batch_size}, AdamW in fp32"
    return summary(measured, what, len(clips), options)


def loading(options, model: str, files: list[str], labels: list[int] | None, machine: dict) -> dict:
    common = {"file": files[0], "threads": options.threads}
    pickled = str(cases.pickled(model, Path(files[0]).parent / "pickled"))
    jobs = {
        "pickle, as published": (cases.loading, common | {"model": pickled, "published": True}),
        "safetensors": (cases.loading, common | {"model": model, "published": False}),
    }
    measured = take_turns(jobs, options.rounds)
    for found in measured.values():
        found.peak_mb = 0.0  # of the process that starts the measured ones
    return summary(measured, "from the start of a process to its first prediction, warm disk", 0, options)


def chosen(jobs: dict, words: list[str] | None) -> dict:
    """The reference, which comes first, and of the others those that were asked for."""
    kept = {name for number, name in enumerate(jobs) if number == 0 or not words or any(w in name for w in words)}
    return {name: job for name, job in jobs.items() if name in kept}


def summary(measured: dict[str, Measured], what: str, clips: int, options) -> dict:
    found = {name: case.to_dict() for name, case in measured.items()}
    return {"what": what, "rounds": options.rounds, "clips": clips, "size": options.size, "cases": found}


PART = {"predict": predict, "train": train, "load": loading}

if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (ValueError, OSError, RuntimeError) as error:
        sys.exit(f"bench.py: {error}")
