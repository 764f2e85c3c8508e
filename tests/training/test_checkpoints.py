"""A run that was killed, or met a full disk, ends as an undisturbed one does, bit for bit."""

import json
import logging
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from exhubert.training.checkpoints import last_complete_checkpoint, make_way, problem_of, remove_checkpoints, rotate

from ..conftest import new_model, new_trainer

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


@pytest.fixture(scope="module")
def three_checkpoints(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("three")
    _, model = new_model()
    saving = {"save_strategy": "steps", "eval_strategy": "steps", "save_steps": 1, "eval_steps": 1}
    new_trainer(data, model, folder, max_steps=3, save_total_limit=None, ema_decay=0.0, **saving).train()
    return folder


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path):
    content = path.read_bytes()
    middle = len(content) // 2
    changed = bytes(byte ^ 0xFF for byte in content[middle : middle + 200])  # more than torch pads between tensors
    path.write_bytes(content[:middle] + changed + content[middle + 200 :])


def become_a_file(path):
    shutil.rmtree(path)
    path.write_text("a note")


STATES = ("[]", "{}", "null", "3", '{"global_step": 3', '{"global_step": 2}', '{"unknown": 1}', "")
DAMAGES = {
    **{
        f"state {text!r}": (
            lambda path, text=text: (path / "trainer_state.json").write_text(text),
            "trainer_state.json",
        )
        for text in STATES
    },
    **{
        f"{change} {name}": (lambda path, name=name, work=work: work(path / name), name)
        for name in ("rng_state.pth", "optimizer.pt", "scheduler.pt", "model.safetensors")
        for change, work in (("cut", cut), ("empty", lambda path: path.write_bytes(b"")), ("no", Path.unlink))
        if (change, name) != ("no", "model.safetensors")
    },
    "flipped bits": (lambda path: flip(path / "optimizer.pt"), "optimizer.pt is "),
    "no weights": (lambda path: (path / "model.safetensors").unlink(), "its weights are missing"),
    "a file": (become_a_file, "it isn't a folder"),
    "a link to nothing": (lambda path: (shutil.rmtree(path), path.symlink_to("nowhere")), "it isn't a folder"),
    "empty": (lambda path: [file.unlink() for file in path.iterdir()], "trainer_state.json is missing"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_half_broken_checkpoints_are_passed_over_with_one_notice_and_left_as_they_are(
    damage, three_checkpoints, tmp_path, caplog
):
    run = tmp_path / "run"
    shutil.copytree(three_checkpoints, run)
    assert last_complete_checkpoint(run) == str(run / "checkpoint-3")
    work, reason = DAMAGES[damage]
    work(run / "checkpoint-3")
    become_a_file(run / "checkpoint-2")
    left = sorted(map(str, run.rglob("*")))
    with caplog.at_level(logging.WARNING):
        assert last_complete_checkpoint(run) == str(run / "checkpoint-1")
    (notice,) = [record.message for record in caplog.records if "Passed over" in record.message]
    assert "checkpoint-3 is incomplete or damaged: " in notice and reason in notice
    assert "checkpoint-2 is incomplete or damaged: it isn't a folder" in notice
    assert sorted(map(str, run.rglob("*"))) == left


def test_a_checkpoint_whose_best_one_is_damaged_is_passed_over(three_checkpoints, tmp_path):
    shutil.copytree(three_checkpoints, tmp_path / "run")
    path = tmp_path / "run" / "checkpoint-3" / "trainer_state.json"
    state = json.loads(path.read_text()) | {"best_model_checkpoint": "elsewhere/checkpoint-2", "best_global_step": 2}
    path.write_text(json.dumps(state))
    assert problem_of(path.parent, needs_best=True) is None
    cut(tmp_path / "run" / "checkpoint-2" / "model.safetensors")
    assert problem_of(path.parent) is None
    assert "the best checkpoint so far, checkpoint-2, can't be read" in problem_of(path.parent, needs_best=True)


def test_rotation_deletes_the_oldest_complete_checkpoints_and_nothing_else(three_checkpoints, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(three_checkpoints, run)
    shutil.copytree(run / "checkpoint-1", run / "checkpoint-mine")
    shutil.copytree(run / "checkpoint-2", run / "checkpoint-best-2")  # a copy that somebody keeps
    shutil.copytree(run / "checkpoint-1", run / "checkpoint-9")  # not of step 9, so it isn't complete
    (run / "checkpoint-4").write_text("a note")
    rotate(run, 2, [str(run / "checkpoint-1")], lambda path: problem_of(path) is None)
    names = {path.name for path in run.glob("checkpoint-*")}
    copies = {"checkpoint-mine", "checkpoint-best-2"}
    assert names == {"checkpoint-1", "checkpoint-3", "checkpoint-9", "checkpoint-4", *copies}
    rotate(run, None, [], lambda path: True)
    assert names == {path.name for path in run.glob("checkpoint-*")}
    (run / "checkpoint-4").unlink()
    remove_checkpoints(run)
    assert copies == {path.name for path in run.glob("checkpoint-*")}


def test_a_file_in_the_place_of_a_checkpoint_is_renamed_and_kept(tmp_path):
    for text in ("one", "two"):
        (tmp_path / "checkpoint-4").write_text(text)
        make_way(tmp_path / "checkpoint-4")
    assert [(tmp_path / f"checkpoint-4.moved-{number}").read_text() for number in (1, 2)] == ["one", "two"]
    (tmp_path / "checkpoint-4").mkdir()
    make_way(tmp_path / "checkpoint-4")
    assert (tmp_path / "checkpoint-4").is_dir()


@pytest.mark.slow
def test_a_run_among_half_broken_checkpoints_ends_as_an_undisturbed_one(
    hubert_folder, tone_dataset, undisturbed, tmp_path
):
    process = start(hubert_folder, tone_dataset, tmp_path)
    while not (tmp_path / "checkpoint-8").exists() and process.poll() is None:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    last = Path(last_complete_checkpoint(tmp_path))
    cut(last / "rng_state.pth")
    assert last_complete_checkpoint(tmp_path) is not None
    step = int(last.name.split("-")[1])
    (tmp_path / f"checkpoint-{step + 4}").write_text("a note")
    (tmp_path / "checkpoint-300").mkdir()
    (tmp_path / "checkpoint-300" / "trainer_state.json").write_text("[]")
    shutil.copytree(last, tmp_path / "checkpoint-mine")
    printed = finish(start(hubert_folder, tone_dataset, tmp_path, resume="true"))
    assert printed.count("Passed over") == 1 and f"{last.name} is incomplete or damaged: rng_state.pth" in printed
    assert_same(tmp_path, undisturbed)
    assert (tmp_path / f"checkpoint-{step + 4}.moved-1").read_text() == "a note"
    assert (tmp_path / "checkpoint-300" / "trainer_state.json").read_text() == "[]"
    assert (tmp_path / "checkpoint-mine" / "rng_state.pth").is_file()
