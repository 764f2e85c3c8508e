"""The benchmark compares like with like: the same weights give the same classes, whichever way they are run."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from exhubert import SIX_CLASSES
from exhubert.benchmark.cases import (
    classes_of,
    computing,
    predicting,
    predicting_as_published,
    training,
    with_frozen_gates,
)
from exhubert.benchmark.harness import take_turns
from exhubert.benchmark.models import fit_head, recordings
from exhubert.benchmark.report import BEGIN, END, markdown, write_into
from exhubert.emoset import load
from exhubert.evaluation import ser_metrics
from exhubert.inference.recordings import load_pipeline, predict

from ..conftest import load_recipe, opened, save, write_tone


def test_published_usage_multiplies_frozen_gates_and_gives_the_same_logits(layout, speechlike):
    model = opened(layout)
    published = with_frozen_gates(model, frozen_dropout=True)
    assert all(block.frozen_gate is not None for block in published.blocks)
    assert published.train().blocks[0].frozen.training  # the published code leaves dropout on
    with torch.no_grad():
        assert torch.equal(published.eval()(speechlike).logits, model(speechlike).logits)


def test_classes_are_counted_in_the_order_of_the_logits(tmp_path):
    model = save(opened("pre_norm", labels=["b", "c", "a"]), tmp_path / "model")  # saved labels come back sorted
    files = [str(write_tone(tmp_path / f"{pitch}.wav", 3.0, frequency=pitch)) for pitch in (100.0, 900.0, 3000.0)]
    ours, published = predicting(str(model), files, 1, 3)(), predicting_as_published(str(model), files, 1, 3)()
    np.testing.assert_allclose(ours["probabilities"], published["probabilities"], atol=1e-6)  # 3 s have no padding
    assert ours["flops"] < published["flops"]
    labels = [["b", "c", "a"][index] for index in classes_of(ours["probabilities"])]
    assert labels == [predict(load_pipeline(model), file).label for file in files]


def test_all_recordings_are_judged_and_only_some_are_timed(tmp_path):
    model = save(opened("pre_norm"), tmp_path / "model")
    files = [str(write_tone(tmp_path / f"{pitch}.wav", 0.3, frequency=pitch)) for pitch in (100.0, 900.0, 3000.0)]
    step = predicting(str(model), files, 1, timed=1)
    assert len(step()["probabilities"]) == 3
    assert "probabilities" not in step()


def test_training_gives_the_losses_of_torchs_kernels(tmp_path):
    model = save(opened("pre_norm"), tmp_path / "model")
    clips = [0.1 * np.random.default_rng(seed).standard_normal(8000, dtype=np.float32) for seed in range(4)]
    found = {kernels: training(str(model), clips, 1, 2, kernels=kernels)()["losses"] for kernels in ("torch", "onednn")}
    np.testing.assert_allclose(found["onednn"], found["torch"], rtol=0, atol=1e-5)
    assert len(found["torch"]) == 2


def test_a_fitted_head_knows_more_than_chance(tmp_path, tone_dataset):
    model = save(opened("pre_norm", labels=list(SIX_CLASSES)), tmp_path / "model")
    fit_head(model, str(tone_dataset), None)
    files, labels = recordings(tmp_path / "clips", 100, str(tone_dataset), None)
    assert len(files) == len(load(tone_dataset)["test"])
    answers = classes_of(predicting(str(model), files, 1, 1)()["probabilities"])
    assert ser_metrics(labels, answers, list(SIX_CLASSES))["uar"] > 0.25  # of six classes


def test_what_preparing_took_is_not_counted_as_peak(tmp_path):
    model = str(save(opened("pre_norm"), tmp_path / "model"))
    found = take_turns({"small": (computing, {"model": model, "threads": 1, "seconds": 0.1}),
                        "large": (computing, {"model": model, "threads": 1, "seconds": 60.0})}, 1)  # fmt: skip
    assert found["small"].peak_mb < found["large"].peak_mb


def test_the_readme_shows_what_its_file_of_figures_says(tmp_path):
    root = Path(__file__).parents[2]
    report = json.loads((root / "recipes" / "bench_large.json").read_text(encoding="utf-8"))
    readme = (root / "README.md").read_text(encoding="utf-8")
    assert markdown(report) == readme.split(BEGIN)[1].split(END)[0].strip()
    copy = tmp_path / "README.md"
    copy.write_text(f"before {BEGIN} old {END} after", encoding="utf-8")
    load_recipe("bench").main(["render", "--json", str(root / "recipes/bench_large.json"), "--readme", str(copy)])
    assert copy.read_text(encoding="utf-8") == f"before {BEGIN}\n\n{markdown(report)}\n\n{END} after"
    copy.write_text("nothing to write into", encoding="utf-8")
    with pytest.raises(ValueError, match="has no section to write into"):
        write_into(copy, report)


@pytest.mark.slow
def test_every_part_takes_turns_in_processes_of_its_own_and_is_reported(tmp_path, capsys):
    model = str(save(opened("pre_norm"), tmp_path / "model"))
    options = ["--model", model, "--size", "tiny", "--clips", "2", "--train_clips", "2", "--rounds", "2"]
    options += ["--threads", "1", "--utterances", "8", "--hours", "0.02", "--json", str(tmp_path / "bench.json")]
    bench = load_recipe("bench")
    bench.main(["predict", *options, "--cases", "kernels", "clip at a time"])
    bench.main(["train", *options, "--cases", "kernels"])
    bench.main(["memory", *options, "--cases", "Adafactor"])
    for part in ("load", "data", "annotate"):
        bench.main([part, *options])
    parts = json.loads((tmp_path / "bench.json").read_text())["parts"]
    assert list(parts) == ["predict", "train", "memory", "load", "data", "annotate"]
    assert list(parts["predict"]["cases"]) == [
        "published usage, fp32", "fp32, torch's kernels", "fp32, a clip at a time"
    ]  # fmt: skip
    for name, part in parts.items():
        for case in part["cases"].values():
            assert 0 < case["least_s"] <= case["median_s"] <= case["most_s"]
            assert case["peak_mb"] > 100 or name == "train"
    ours = parts["predict"]["cases"]["fp32, a clip at a time"]
    assert ours["agreement"] == 1.0 and ours["difference"] < 1e-5 and 0 < ours["roof_share"] < 1.5
    assert parts["data"]["cases"]["build"]["utterances"] == 8
    assert (tmp_path / "bench.png").stat().st_size > 5000
    told = capsys.readouterr().out
    assert "| fp32, a clip at a time |" in told and "**annotate**" in told


@pytest.mark.slow
def test_a_case_that_fails_says_why(tmp_path):
    with pytest.raises(RuntimeError, match="The case 'ours' failed: OSError"):
        take_turns({"ours": (predicting, {"model": str(tmp_path), "files": [], "threads": 1, "timed": 1})}, 1)
