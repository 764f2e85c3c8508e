"""The benchmark compares like with like: the same weights give the same classes, whichever way they are run."""

import json

import pytest
import torch

from exhubert.benchmark.cases import predicting, predicting_as_published, with_frozen_gates
from exhubert.inference import load_pipeline, predict

from .conftest import load_recipe, write_tone
from .test_export import save
from .test_folding import opened


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
    ours, published = predicting(str(model), files, 1)(), predicting_as_published(str(model), files, 1)()
    assert ours["classes"] == published["classes"]  # clips of 3 s have no padding
    assert ours["flops"] < published["flops"]
    names = ["b", "c", "a"]
    assert [names[index] for index in ours["classes"]] == [predict(load_pipeline(model), file).label for file in files]


@pytest.mark.slow
def test_cases_take_turns_in_processes_of_their_own_and_are_reported(tmp_path, capsys):
    options = ["--clips", "2", "--rounds", "2", "--threads", "1", "--cases", "clip at a time"]
    load_recipe("bench").main(["predict", *options, "--json", str(tmp_path / "bench.json")])
    report = json.loads((tmp_path / "bench.json").read_text())
    published, ours = report["parts"]["predict"]["cases"].values()
    assert list(report["parts"]["predict"]["cases"]) == ["published usage, fp32", "fp32, a clip at a time"]
    for case in (published, ours):
        assert 0 < case["least_s"] <= case["median_s"] <= case["most_s"]
        assert case["peak_mb"] > 100
    assert ours["agreement"] == 1.0
    assert (tmp_path / "bench.png").stat().st_size > 5000
    assert "| fp32, a clip at a time |" in capsys.readouterr().out


@pytest.mark.slow
def test_a_case_that_fails_says_why(tmp_path):
    from exhubert.benchmark.harness import take_turns

    with pytest.raises(RuntimeError, match="The case 'ours' failed: OSError"):
        take_turns({"ours": (predicting, {"model": str(tmp_path), "files": [], "threads": 1})}, 1)
