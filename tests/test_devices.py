"""A torch built for CUDA on a machine without a GPU computes on the CPU, in every command."""

import pytest
import torch

from exhubert.cli.main import main
from exhubert.devices import choose_device, usable_accelerator
from exhubert.evaluation.evaluate_model import evaluate_model
from exhubert.inference import annotate, load_pipeline
from exhubert.inference.annotation import AnnotationOptions
from exhubert.training import fine_tune

from .conftest import untrained, write_tone
from .training.conftest import settings


@pytest.fixture
def without_gpu(monkeypatch):
    """What `pip install torch` gives on Linux: the accelerator of this build is CUDA, whether or not there is a GPU."""
    if torch.accelerator.is_available():
        pytest.skip("this machine has an accelerator")
    monkeypatch.setattr(torch._C, "_accelerator_getAccelerator", lambda: torch.device("cuda"))
    assert torch.accelerator.current_accelerator() == torch.device("cuda")


def test_commands_run_on_the_cpu_where_a_torch_for_cuda_finds_no_gpu(
    without_gpu, hubert_folder, tone_dataset, recordings, tmp_path, monkeypatch
):
    assert usable_accelerator() is None and choose_device() == torch.device("cpu")
    model = untrained(tmp_path / "model", 0)
    assert load_pipeline(model).device == torch.device("cpu")
    assert evaluate_model(model, tone_dataset).overall["utterances"] > 0
    monkeypatch.setenv("LOCAL_RANK", "0")
    annotate([str(recordings / "ünï 1.wav")], model, tmp_path / "annotations", AnnotationOptions())
    monkeypatch.delenv("LOCAL_RANK")
    run = fine_tune(*settings(hubert_folder, tone_dataset, tmp_path / "run", max_steps=1))
    assert run.memory_mb > 0


@pytest.mark.parametrize("device", ["cuda", "cuda:1", "xpu", "mps", 0, "1", "gpu", "meta"])
def test_a_device_that_cannot_be_used_is_a_sentence_that_names_those_that_can(device):
    if torch.accelerator.is_available():
        pytest.skip("this machine has an accelerator")
    with pytest.raises(
        ValueError, match=rf"The device '{device}' can't be used \(.+\)\. This machine has cpu; without"
    ):
        choose_device(device)


def test_the_cpu_can_be_chosen_by_name_index_or_device():
    assert {choose_device(device).type for device in ("cpu", -1, "-1", torch.device("cpu"))} == {"cpu"}


def test_predict_on_a_device_that_is_not_there_is_one_line(tmp_path, capsys):
    if torch.accelerator.is_available():
        pytest.skip("this machine has an accelerator")
    model = untrained(tmp_path / "model", 0)
    capsys.readouterr()
    assert main(["predict", str(write_tone(tmp_path / "a.wav")), "--model", str(model), "--device", "cuda"]) == 1
    printed = capsys.readouterr().err
    assert printed.startswith("exhubert: The device 'cuda' can't be used (") and printed.count("\n") == 1
