"""A run that was killed, or met a full disk, ends as an undisturbed one does, bit for bit."""

import json
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

TRAIN = Path(__file__).parents[2] / "recipes" / "train.py"
OPTIONS = {
    "max_seconds": 0.4, "num_train_epochs": 4, "per_device_train_batch_size": 4, "per_device_eval_batch_size": 4,
    "learning_rate": 1e-3, "save_strategy": "steps", "save_steps": 2, "eval_strategy": "steps", "eval_steps": 2,
    "augmentations": "noise", "balance": "label", "class_weighting": "false",
    "ema_decay": 0.8, "report_to": "none", "disable_tqdm": "true",
}  # fmt: skip


def start(model, data, folder, limit=None, **options):
    command = [sys.executable, str(TRAIN), "--model", str(model), "--data", str(data), "--output_dir", str(folder)]
    for name, value in (OPTIONS | options).items():
        command += [f"--{name}", str(value)]
    full = (lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))) if limit else None
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, preexec_fn=full)


def finish(process):
    printed, _ = process.communicate(timeout=300)
    assert process.returncode == 0, printed[-3000:]
    return printed


@pytest.fixture(scope="module")
def undisturbed(hubert_folder, tone_dataset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    finish(start(hubert_folder, tone_dataset, folder))
    return folder


def assert_same(folder, undisturbed):
    found, expected = (load_file(path / "model.safetensors") for path in (folder, undisturbed))
    assert found.keys() == expected.keys()
    for name, weight in expected.items():
        assert torch.equal(weight, found[name]), name
    ends = [json.loads((path / "run.json").read_text()) for path in (folder, undisturbed)]
    metrics = [{k: v for k, v in run["validation"].items() if "per_second" not in k and k != "runtime"} for run in ends]
    assert metrics[0] == metrics[1]


@pytest.mark.slow
def test_killed_three_times_and_resumed_a_run_ends_in_the_same_weights_and_metrics(
    hubert_folder, tone_dataset, undisturbed, tmp_path
):
    steps = json.loads((undisturbed / "run.json").read_text())["steps"]
    moments = random.Random(5)
    targets = sorted(moments.sample(range(2, steps - 2, 2), 3))
    for target in targets:
        process = start(hubert_folder, tone_dataset, tmp_path, resume="true")
        while not (tmp_path / f"checkpoint-{target}").exists() and process.poll() is None:
            time.sleep(0.002)
        time.sleep(moments.uniform(0.0, 0.15))  # while it is saved, or evaluates, or trains on
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert not (tmp_path / "run.json").exists(), "the run had ended before it was killed"
    printed = finish(start(hubert_folder, tone_dataset, tmp_path, resume="true"))
    assert "resuming from" in printed
    assert_same(tmp_path, undisturbed)


@pytest.mark.slow
def test_a_full_disk_ends_a_run_and_a_resumed_one_falls_back_to_the_last_whole_checkpoint(
    hubert_folder, tone_dataset, undisturbed, tmp_path
):
    """Files may not grow past a limit that the weights fit and the optimizer doesn't, after a first good checkpoint."""
    process = start(hubert_folder, tone_dataset, tmp_path)
    while not (tmp_path / "checkpoint-4").exists() and process.poll() is None:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    good = sorted(path.name for path in tmp_path.glob("checkpoint-*"))
    limit = (undisturbed / "model.safetensors").stat().st_size
    process = start(hubert_folder, tone_dataset, tmp_path, limit=limit, resume="true")
    printed, _ = process.communicate(timeout=300)
    assert process.returncode == 1 and "train.py: The checkpoint of step" in printed and "Traceback" not in printed
    broken = {path.name for path in tmp_path.glob("checkpoint-*")} - set(good)
    printed = finish(start(hubert_folder, tone_dataset, tmp_path, resume="true"))
    assert not broken or any(f"{name} is incomplete or damaged" in printed for name in broken)
    assert_same(tmp_path, undisturbed)
