"""Exported models answer as the one they were, also where neither torch nor transformers is installed."""

import inspect
import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from exhubert import SIX_CLASSES, ExHuBERTForSequenceClassification
from exhubert.audio_windows import SKIP_SILENCE
from exhubert.cli.main import main
from exhubert.export.steps import export
from exhubert.inference.recordings import embed, load_pipeline, predict, predict_all

from ..conftest import OUTPUTS, load_recipe, opened, save, write_silence, write_tone

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    model = opened("pre_norm", labels=SIX_CLASSES)
    return save(model, tmp_path_factory.mktemp("whole"), window_seconds=1.0, logit_temperature=0.5)


@pytest.fixture(scope="module")
def exported(folder, tmp_path_factory) -> tuple[Path, dict]:
    output = tmp_path_factory.mktemp("exported")
    return output, export(folder, output, folded=True)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory) -> list[Path]:
    root = tmp_path_factory.mktemp("recordings")
    return [write_tone(root / f"{i}.wav", seconds) for i, seconds in enumerate((0.05, 0.7, 2.6))]


def test_onnx_gives_the_same_scores_and_embeddings_for_any_length(folder, exported, recordings):
    theirs, ours = load_pipeline(folder), load_pipeline(exported[0], backend="onnx")
    for path in recordings:
        expected, found = predict(theirs, path), predict(ours, path)
        assert found.scores == pytest.approx(expected.scores, abs=1e-5)
        assert [w.start for w in found.windows] == [w.start for w in expected.windows]
        np.testing.assert_allclose(embed(ours, path), embed(theirs, path), atol=1e-5)


def test_padding_is_masked_in_the_exported_model_too(exported, recordings):
    from exhubert.export.exhubert_onnx import OnnxClassifier

    classifier = OnnxClassifier(exported[0])
    clips = [soundfile.read(path, dtype="float32")[0][:16_000] for path in recordings]
    logits, embeddings = classifier.run(clips)
    for index, clip in enumerate(clips):
        alone = classifier.run([clip])
        np.testing.assert_allclose(logits[index], alone[0][0], atol=1e-5)
        np.testing.assert_allclose(embeddings[index], alone[1][0], atol=1e-5)
    with pytest.raises(ValueError, match="expected \\(400 samples or more"):
        classifier.run([np.zeros(399)])


def standalone(folder, *arguments) -> subprocess.CompletedProcess:
    """The program in an exported folder."""
    command = [sys.executable, folder / "exhubert_onnx.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env={"PATH": os.environ["PATH"]}, check=False)


def test_the_standalone_class_leaves_out_the_silence_that_the_pipeline_leaves_out(folder, exported, tmp_path):
    from exhubert.export.exhubert_onnx import OnnxClassifier

    pipeline, alone = load_pipeline(folder), OnnxClassifier(exported[0])
    assert inspect.signature(alone).parameters["skip_silence"].default is SKIP_SILENCE
    noise = 0.1 * np.random.default_rng(0).standard_normal(16_000).astype(np.float32)
    partly = np.concatenate([noise, np.full(32_000, 0.01, np.float32)])
    for options in ({}, {"skip_silence": False}):
        assert alone(partly, **options) == pytest.approx(predict(pipeline, partly, **options).scores, abs=1e-5)
        np.testing.assert_allclose(alone.embed(partly, **options), embed(pipeline, partly, **options), atol=1e-5)
    silent = np.full(24_000, 0.01, np.float32)
    assert alone(silent) is None and predict(pipeline, silent).silent
    assert alone(silent, skip_silence=False) == pytest.approx(
        predict(pipeline, silent, skip_silence=False).scores, abs=1e-5
    )
    with pytest.raises(ValueError, match="The recording is silent"):
        alone.embed(silent)
    with pytest.raises(ValueError, match="NaN or infinite"):
        alone(np.full(24_000, np.nan, np.float32))
    path = write_silence(tmp_path / "still.wav")
    assert standalone(exported[0], path).stdout == f"{path}\tsilent\n"
    kept = standalone(exported[0], "--keep_silence", path)
    assert kept.returncode == 0 and kept.stdout.split("\t")[1] in SIX_CLASSES


def test_a_regression_model_gives_its_outputs_by_name_there_too(regression_folder, recordings, tmp_path, capsys):
    from exhubert.export.exhubert_onnx import OnnxClassifier

    assert main(["export", regression_folder, str(tmp_path / "out"), "--check", str(recordings[1])]) == 0
    assert "same class" in capsys.readouterr().out
    assert [step["agreement"] for step in json.loads((tmp_path / "out" / "export.json").read_text())["steps"]] == [
        None
    ] * 2
    expected = predict(load_pipeline(regression_folder), recordings[1])
    exported = predict(load_pipeline(tmp_path / "out"), recordings[1])
    assert exported.regression and exported.scores == pytest.approx(expected.scores, abs=1e-4)
    samples = soundfile.read(recordings[1], dtype="float32")[0]
    scores = OnnxClassifier(tmp_path / "out")(samples)
    assert scores == pytest.approx(expected.scores, abs=1e-4) and list(scores) == OUTPUTS
    path = write_silence(tmp_path / "still.wav")
    done = standalone(tmp_path / "out", recordings[1], path)
    outputs = "\t".join(f"{name} {value:.3f}" for name, value in scores.items())
    assert done.returncode == 0 and done.stdout == f"{recordings[1]}\t{outputs}\n{path}\tsilent\n"


def test_a_regression_model_has_no_uar(regression_folder, tone_dataset, tmp_path, capsys):
    assert main(["export", regression_folder, str(tmp_path / "out"), "--data", str(tone_dataset)]) == 1
    assert "is a regression model, which has no UAR" in capsys.readouterr().err


def test_the_report_says_what_was_left_out_and_what_each_step_costs(exported):
    output, report = exported
    assert report["closed_blocks"] == [0]
    assert json.loads((output / "export.json").read_text()) == report
    steps = {step["name"]: step for step in report["steps"]}
    assert list(steps) == ["torch, fp32", "folded", "ONNX, fp32"]
    assert steps["folded"]["logits"] == 0.0
    assert steps["folded"]["megabytes"] < 0.9 * steps["torch, fp32"]["megabytes"]
    assert 0 < steps["ONNX, fp32"]["logits"] < 1e-5
    assert report["made_up"]


def test_it_runs_where_neither_torch_nor_transformers_is(folder, exported, recordings, tmp_path):
    """A new environment sees onnxruntime, numpy and what they need; the scores are those of the pipeline."""
    import numpy
    import onnxruntime

    venv.create(tmp_path / "bare", with_pip=False)
    python = tmp_path / "bare" / "bin" / "python"
    site = next((tmp_path / "bare" / "lib").glob("python*/site-packages"))
    packages = Path(numpy.__file__).parents[1]
    for name in ("numpy", "numpy.libs", "onnxruntime", "flatbuffers", "packaging", "google"):
        if (packages / name).exists():
            (site / name).symlink_to(packages / name)
    assert Path(onnxruntime.__file__).parents[1] == packages
    code = "import torch", "import transformers"
    for line in code:
        assert subprocess.run([python, "-c", line], capture_output=True).returncode == 1
    answer = subprocess.run(
        [python, exported[0] / "exhubert_onnx.py", *recordings, tmp_path / "none.wav"], capture_output=True, text=True
    )
    assert answer.returncode == 2
    assert "none.wav" in answer.stderr
    found = [line.split("\t") for line in answer.stdout.splitlines()]
    expected = [predict(load_pipeline(folder), path) for path in recordings]
    assert [(Path(path), label) for path, label, _ in found] == [
        (path, each.label) for path, each in zip(recordings, expected, strict=True)
    ]
    for (_, label, score), each in zip(found, expected, strict=True):
        assert float(score) == pytest.approx(each.scores[label], abs=1e-3)


def test_group_norm_models_and_8_bits(recordings, tmp_path, capfd):
    source = save(opened("post_norm"), tmp_path / "whole", window_seconds=1.0)
    assert main(["export", str(source), str(tmp_path / "out"), "--int8", "--check", str(recordings[0].parent)]) == 0
    printed = capfd.readouterr().out
    assert "ONNX, int8" in printed and "on 3 recordings" in printed
    steps = {step["name"]: step for step in json.loads((tmp_path / "out" / "export.json").read_text())["steps"]}
    assert steps["ONNX, int8"]["megabytes"] < 0.9 * steps["ONNX, fp32"]["megabytes"]
    assert steps["ONNX, fp32"]["logits"] < 1e-5 < 1e-4 < steps["ONNX, int8"]["logits"] < 0.1
    theirs, ours = load_pipeline(source), load_pipeline(tmp_path / "out")
    alone = [predict(ours, path).scores for path in recordings]
    together = [found.scores for _, found in predict_all(ours, recordings, batch_size=8)]
    assert together == alone  # though 8 bits are scaled over all that is multiplied at once
    assert predict(ours, recordings[2]).scores == pytest.approx(predict(theirs, recordings[2]).scores, abs=0.02)


def test_pruning_drops_what_adds_little_on_the_recordings_given(recordings, tmp_path):
    source = save(opened("pre_norm", (0.3, 1e-4, 0.3)), tmp_path / "whole")
    (tmp_path / "check").mkdir()
    (tmp_path / "check" / "broken.wav").write_bytes(b"RIFF")
    short = write_tone(tmp_path / "check" / "short.wav", 0.01)
    options = ["--format", "safetensors", "--prune", "0.01", "--check", str(recordings[0].parent), str(short.parent)]
    assert main(["export", str(source), str(tmp_path / "out"), *options]) == 0
    smaller = ExHuBERTForSequenceClassification.from_pretrained(tmp_path / "out")
    assert smaller.config.closed_blocks == [1]
    report = json.loads((tmp_path / "out" / "export.json").read_text())
    assert (report["clips"], report["left_out"]) == (3, 1)
    step = report["steps"][-1]
    assert step["name"] == "pruned below 0.01" and 0 < step["logits"] < 0.01


def test_evaluation_runs_on_an_exported_model_and_agrees_with_the_report(folder, exported, tone_dataset, tmp_path):
    options = ["--data", str(tone_dataset), "--partition", "train"]
    assert main(["export", str(folder), str(tmp_path / "out"), "--format", "safetensors", "--fold", *options]) == 0
    reported = json.loads((tmp_path / "out" / "export.json").read_text())["steps"][0]["uar"]
    for model in (folder, exported[0]):
        load_recipe("evaluate_model").main([str(model), "--output", str(tmp_path / "results"), *options])
        found = json.loads((tmp_path / "results" / "results.json").read_text())
        assert found["overall"]["uar"] == pytest.approx(reported)
        assert found["temperature"] == 0.5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--format", "safetensors"], "changes nothing without --fold or --prune"),
        (["--format", "safetensors", "--fold", "--int8"], "--int8 needs --format onnx"),
        (["--prune", "0.1"], "give recordings with --check or --data"),
        (["--prune", "0", "--check", "."], "expected a share above 0"),
    ],
)
def test_options_that_do_not_go_together_are_refused(folder, options, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(write_tone(tmp_path / "there" / "a.wav").parent)
    assert main(["export", str(folder), str(tmp_path / "out"), *options]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_model_for_the_other_backend_is_refused(folder, exported):
    with pytest.raises(ValueError, match="run `exhubert export .* OUT` first"):
        load_pipeline(folder, backend="onnx")
    with pytest.raises(ValueError, match="give the folder it was exported from"):
        load_pipeline(exported[0], backend="torch")
    with pytest.raises(ValueError, match="runs on the CPU"):
        load_pipeline(exported[0], dtype=torch.bfloat16)
