"""Annotating with many ranks: killed and started again, nothing is done twice and nothing is lost."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import soundfile
from datasets import load_dataset

from exhubert import SIX_CLASSES
from exhubert.cli.annotate import main
from exhubert.inference.annotation import read_annotations
from exhubert.inference.recordings import load_pipeline, predict
from exhubert.inference.shards import read_settings, shards_of, unescaped

from ..conftest import OUTPUTS, write_silence, write_tone
from .conftest import NAMES, results, saved_model

TWO_RANKS = Path(__file__).parents[2] / "recipes" / "accelerate" / "cpu_two_ranks.yaml"


@pytest.fixture(scope="module")
def recordings(tmp_path_factory) -> Path:
    """Recordings with awkward names, one of three windows whose second is silent, and two that can't be used."""
    folder = tmp_path_factory.mktemp("recordings")
    for number, name in enumerate(NAMES):
        write_tone(folder / "plain.wav", 0.3 + 0.1 * number).rename(folder / name)
    samples, rate = soundfile.read(write_tone(folder / "long.wav", 2.6))
    samples[rate : 2 * rate] = 0.0
    soundfile.write(folder / "long.wav", samples, rate)
    (folder / "empty.wav").touch()
    (folder / "text.wav").write_text("this is not audio")
    return folder


def annotated(output: Path) -> int:
    """How many results there are, those of unfinished shards included."""
    return len(read_annotations(output)) if (output / "settings.json").is_file() else 0


def wait_until(condition, process):
    while not condition():
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.01)


def start_rank(rank: int, ranks: int, command: list[str]) -> subprocess.Popen:
    """One rank without a launcher, as in an array of jobs."""
    variables = {"RANK": str(rank), "WORLD_SIZE": str(ranks), "LOCAL_RANK": str(rank), "ACCELERATE_USE_CPU": "true"}
    return subprocess.Popen(
        [sys.executable, "-m", "exhubert.annotate", *command],
        env=os.environ | variables,
        stderr=subprocess.PIPE,
        text=True,
    )


def same_as_predict(output: Path, model: str, files: list[Path]):
    table = read_annotations(output).set_index("file")
    assert sorted(table.index) == sorted(map(str, files))
    classifier = load_pipeline(model, "cpu")
    for file in files:
        expected, found = predict(classifier, file), table.loc[str(file)]
        assert found["label"] == expected.label and found["seconds"] == expected.seconds
        assert {name: found[f"scores.{name}"] for name in expected.scores} == pytest.approx(expected.scores, abs=1e-6)


def test_awkward_names_and_bad_recordings_come_through_both_formats(model, recordings, tmp_path, capsys):
    good = [*(recordings / name for name in NAMES), recordings / "long.wav"]
    for form in ("jsonl", "parquet"):
        output = tmp_path / form
        command = [str(recordings), "--model", model, "--output", str(output), "--format", form, "--timeline"]
        assert main(command) == 2
        printed = capsys.readouterr().err
        assert "empty.wav: the file is empty" in printed and f"5 of 7 recordings are in {output / 'results'}" in printed
        same_as_predict(output, model, good)
        assert not list((output / "work").glob("*.jsonl")), "journals of finished shards"
        data = {"train": [str(path) for path in (output / "results").iterdir()]}
        rows = load_dataset("json" if form == "jsonl" else form, data_files=data, cache_dir=str(tmp_path / "cache"))
        assert {unescaped(name) for name in rows["train"]["file"]} == {str(path) for path in good}
        [long] = [row for row in rows["train"] if row["file"].endswith("long.wav")]
        assert [(window["end"], window["scores"] is None) for window in long["windows"]] == [
            (1.0, False),
            (2.0, True),
            (2.6, False),
        ]
        errors = [json.loads(line) for path in (output / "errors").iterdir() for line in path.read_text().splitlines()]
        assert sorted(Path(row["file"]).name for row in errors) == ["empty.wav", "text.wav"]


def test_bad_recordings_are_tried_again_only_when_asked(model, tmp_path, capsys):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "late.wav").write_bytes(b"")
    command = [str(tmp_path / "in"), "--model", model, "--output", str(tmp_path / "out")]
    assert main(command) == 2
    write_tone(tmp_path / "in" / "late.wav")
    assert main(command) == 2
    assert "0 recordings classified, 0 can't be used" in capsys.readouterr().err
    assert main([*command, "--retry"]) == 0
    assert results(tmp_path / "out") == {str(tmp_path / "in" / "late.wav"): 1}


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_recordings_that_came_later_are_added(model, tmp_path, form):
    command = [str(tmp_path / "in"), "--model", model, "--output", str(tmp_path / "out"), "--format", form]
    files = []
    for number in range(20):
        files.append(write_tone(tmp_path / "in" / f"{number}.wav"))
        if number in (9, 19):
            assert main(command) == 0
    same_as_predict(tmp_path / "out", model, files)


def test_lists_of_paths_end_in_newlines_or_nul(model, recordings, tmp_path):
    paths = [os.fsencode(recordings / name) for name in NAMES]
    (tmp_path / "nul").write_bytes(b"\0".join(paths))
    (tmp_path / "lines").write_bytes(b"\n".join(path for path in paths if b"\n" not in path) + b"\n")
    command = ["--model", model, "--output"]
    assert main([*command, str(tmp_path / "a"), "--list", str(tmp_path / "nul"), "--null"]) == 0
    assert sorted(read_annotations(tmp_path / "a")["file"]) == sorted(map(os.fsdecode, paths))
    assert main([*command, str(tmp_path / "b"), "--list", str(tmp_path / "lines")]) == 0
    assert len(read_annotations(tmp_path / "b")) == 3


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_lists_of_paths_may_come_from_windows(model, recordings, tmp_path, encoding):
    paths = [str(recordings / name) for name in NAMES if "\n" not in name and "\udcff" not in name]
    paths.append(str(write_tone(tmp_path / "für.wav")))
    (tmp_path / "lines").write_bytes("".join(f"{path}\r\n" for path in [*paths, ""]).encode(encoding))
    command = ["--model", model, "--output", str(tmp_path / "out"), "--list", str(tmp_path / "lines")]
    assert main(command) == 0
    assert sorted(read_annotations(tmp_path / "out")["file"]) == sorted(paths)


def test_other_settings_another_model_or_other_contents_are_refused(model, recordings, tmp_path, capsys):
    command = [str(recordings / "long.wav"), "--output", str(tmp_path / "out"), "--model"]
    assert main([*command, model, "--hop_s", "0.5"]) == 0
    for change, message in (
        ([model], "began with hop_s 0.5, but now hop_s is None"),
        ([model, "--hop_s", "0.5", "--timeline"], "began with timeline False, but now timeline is True"),
        ([model, "--hop_s", "0.5", "--format", "parquet"], "began with format 'jsonl', but now format is 'parquet'"),
        ([saved_model(tmp_path / "other", shift=0.1), "--hop_s", "0.5"], "began with model"),
    ):
        assert main([*command, *change]) == 1
        assert message in capsys.readouterr().err
    assert main([*command, saved_model(tmp_path / "copy"), "--hop_s", "0.5", "--batch_size", "2"]) == 0
    assert main([str(recordings), "--model", model, "--output", str(recordings)]) == 1
    assert "is a source, which this command reads" in capsys.readouterr().err
    assert main([str(recordings), "--model", model, "--output", str(tmp_path / "new"), "--hop_s", "7"]) == 1
    assert "hop_s is 7 s" in capsys.readouterr().err and not (tmp_path / "new").exists()
    with pytest.raises(FileNotFoundError, match="settings.json: there is no such file"):
        read_annotations(tmp_path)


def test_six_classes_give_arousal_and_valence_in_both_formats(tmp_path):
    six = saved_model(tmp_path / "six", labels=list(SIX_CLASSES))
    for form in ("jsonl", "parquet"):
        command = [str(write_tone(tmp_path / "tone.wav")), "--model", six, "--output", str(tmp_path / form)]
        assert main([*command, "--format", form]) == 0
        row = read_annotations(tmp_path / form).iloc[0]
        high = sum(row[f"scores.{name}"] for name in SIX_CLASSES if name.startswith("high"))
        assert row["arousal.high"] == pytest.approx(high) and row["windows"] == 1


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
@pytest.mark.parametrize("labels", [["calm", "tense"], list(SIX_CLASSES)])
def test_silent_recordings_are_results_marked_as_such_and_not_done_again(form, labels, tmp_path, capsys):
    model, output = saved_model(tmp_path / "model", labels=labels), tmp_path / "out"
    silent = write_silence(tmp_path / "in" / "still.wav")
    command = [str(tmp_path / "in"), "--model", model, "--output", str(output), "--format", form]
    assert main(command) == 0
    alone = read_annotations(output)
    write_tone(tmp_path / "in" / "tone.wav")
    capsys.readouterr()
    assert main(command) == 0
    assert "rank 0 of 1: 1 recordings classified, 0 can't be used" in capsys.readouterr().err
    table = read_annotations(output).set_index("file")
    assert list(table["silent"]) == [True, False] and list(alone["silent"]) == [True]
    numbers = [name for name in table.columns if "." in name]
    assert len(numbers) == len(labels) + (5 if len(labels) == 6 else 0)
    assert set(alone.columns) == {"file", *table.columns}
    assert table.loc[str(silent), ["label", *numbers]].isna().all() and alone[numbers].isna().all(axis=None)
    assert table.loc[str(tmp_path / "in" / "tone.wav"), ["label", *numbers]].notna().all()
    if form == "jsonl":
        rows = [json.loads(path.read_text()) for path in (output / "results").iterdir()]
    else:
        data = {"train": [str(path) for path in (output / "results").iterdir()]}
        rows = load_dataset(form, data_files=data, cache_dir=str(tmp_path / "cache"))["train"]
    [row] = [row for row in rows if row["silent"]]
    assert row["file"] == str(silent) and row["label"] is None and row["scores"] is None and row["windows"] == 2


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_outputs_of_a_regression_model_are_columns_by_name(regression_folder, form, tmp_path):
    tone, silent = write_tone(tmp_path / "in" / "tone.wav"), write_silence(tmp_path / "in" / "still.wav")
    command = [str(tmp_path / "in"), "--model", regression_folder, "--output", str(tmp_path / "out"), "--format", form]
    assert main([*command, "--timeline"]) == 0
    table = read_annotations(tmp_path / "out").set_index("file")
    expected = predict(load_pipeline(regression_folder, "cpu"), tone)
    found = table.loc[str(tone)]
    assert {name: found[f"scores.{name}"] for name in OUTPUTS} == pytest.approx(expected.scores, abs=1e-6)
    assert not found["silent"] and table.loc[str(silent), "silent"] and len(found["windows"]) == 1
    numbers = {f"scores.{name}" for name in OUTPUTS}
    assert set(table.columns) == {"seconds", "windows", "silent", *numbers}


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
@pytest.mark.parametrize("problem", ["regression", "multi_label_classification"])
def test_outputs_that_only_have_the_names_of_the_six_classes_give_no_arousal(problem, form, tmp_path):
    model = saved_model(tmp_path / "model", labels=list(SIX_CLASSES), problem_type=problem)
    tone = write_tone(tmp_path / "tone.wav")
    assert predict(load_pipeline(model, "cpu"), tone).arousal is None
    assert main([str(tone), "--model", model, "--output", str(tmp_path / "out"), "--format", form]) == 0
    label = [] if problem == "regression" else ["label"]
    expected = ["file", *label, "seconds", "windows", "silent", *(f"scores.{name}" for name in SIX_CLASSES)]
    assert sorted(read_annotations(tmp_path / "out").columns) == sorted(expected)


def test_results_of_a_version_that_heard_silence_otherwise_are_read_but_not_continued(model, tmp_path, capsys):
    command = [str(write_tone(tmp_path / "tone.wav")), "--model", model, "--output", str(tmp_path / "out")]
    assert main(command) == 0
    path = tmp_path / "out" / "settings.json"
    settings = json.loads(path.read_text())
    added = ("channel", "regression", "marginals")
    path.write_text(json.dumps({key: settings[key] for key in settings if key not in added}))
    assert main(command) == 1
    assert "an earlier version of exhubert made these results" in capsys.readouterr().err
    assert len(read_annotations(tmp_path / "out")) == 1


def test_a_recording_that_ends_the_process_each_time_is_set_aside(model, tmp_path, capsys):
    deadly, good = write_tone(tmp_path / "deadly.wav"), write_tone(tmp_path / "good.wav")
    command = [str(good), str(deadly), "--model", model, "--output", str(tmp_path / "out")]
    assert main([*command[1:2], *command[2:]]) == 0
    [shard] = (tmp_path / "out" / "results").iterdir()
    shard.unlink()
    begun = json.dumps({"begun": str(deadly)}) + "\n"
    (tmp_path / "out" / "work" / shard.name).write_text(2 * begun)
    assert main(command) == 0
    for path in (tmp_path / "out" / "results").iterdir():
        path.unlink()
    (tmp_path / "out" / "work" / shard.name).write_text(3 * begun)
    assert main(command) == 2
    assert "deadly.wav: 3 times the process was ended" in capsys.readouterr().err
    assert results(tmp_path / "out") == {str(good): 1}
    (tmp_path / "out" / "work" / shard.name).write_text(3 * begun)
    assert main([*command, "--retry"]) == 0


@pytest.mark.slow
def test_rank_0_takes_over_from_killed_ranks(model, many, tmp_path):
    output = tmp_path / "out"
    command = [str(many), "--model", model, "--output", str(output), "--format", "parquet"]
    assert main([str(many / "000.wav"), *command[1:]]) == 0
    held = max(
        shards_of(output, read_settings(output), map(str, many.iterdir())), key=lambda shard: len(shard.waiting())
    )
    with held.lock():  # as a third rank that dies when there is nothing else left to do
        alive, dead = start_rank(0, 2, command), start_rank(1, 2, command)
        wait_until(lambda: annotated(output) >= 5, dead)
        dead.kill()
        dead.communicate()
        wait_until(lambda: annotated(output) >= 100 - len(held.waiting()), alive)
    assert annotated(output) < 100
    printed = alive.communicate()[1]
    assert alive.returncode == 0 and f"100 of 100 recordings are in {output / 'results'}" in printed
    rows = load_dataset("parquet", data_files=str(output / "results" / "*"), cache_dir=str(tmp_path / "cache"))
    assert sorted(rows["train"]["file"]) == sorted(map(str, many.iterdir()))
    same_as_predict(output, model, list(many.iterdir()))


@pytest.mark.slow
def test_a_killed_launch_goes_on_with_another_number_of_ranks(model, many, recordings, tmp_path, capsys):
    output = tmp_path / "out"
    command = [str(many), str(recordings), "--model", model, "--output", str(output)]
    launcher = [sys.executable, "-m", "accelerate.commands.accelerate_cli", "launch", "--config_file", str(TWO_RANKS)]
    launch = subprocess.Popen([*launcher, "-m", "exhubert.annotate", *command], stderr=subprocess.PIPE)
    wait_until(lambda: annotated(output) >= 10, launch)
    os.kill(process_of_rank(1, output), signal.SIGKILL)
    launch.communicate()
    before = annotated(output)
    assert launch.returncode == 1 and before < 105
    assert main(command) == 2
    printed = capsys.readouterr().err
    assert f"rank 0 of 1: {105 - before} recordings classified" in printed, "nothing is done twice"
    assert f"105 of 107 recordings are in {output / 'results'}" in printed and "2 can't be used" in printed
    assert len(results(output)) == 105 and set(results(output).values()) == {1}
    same_as_predict(output, model, [*many.iterdir(), *(recordings / name for name in NAMES), recordings / "long.wav"])


def process_of_rank(rank: int, output: Path) -> int:
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            mine = os.fsencode(output) in (path / "cmdline").read_bytes().split(b"\0")
            if mine and f"RANK={rank}".encode() in (path / "environ").read_bytes().split(b"\0"):
                return int(path.name)
    raise AssertionError(f"no process of rank {rank}")
