"""`exhubert predict`: formats, bad files, folders and patterns, resuming."""

import csv
import io
import json
from pathlib import Path

import pytest

from exhubert.cli.main import main
from exhubert.cli.options import find_recordings

from ..conftest import OUTPUTS, PUBLISHED, STRANGE, bad_files, write_silence, write_tone


def test_command_line_classifies_the_rest_when_one_file_is_bad(folder, tmp_path, capsys):
    bad_files(tmp_path)
    good = [str(write_tone(tmp_path / name)) for name in ("a b.wav", "c.wav")]
    code = main(["predict", good[0], str(tmp_path / "text.wav"), good[1], "--model", folder])
    printed = capsys.readouterr()
    assert code == 2
    assert [line for line in printed.out.splitlines() if line.startswith(good[0])]
    assert [line for line in printed.out.splitlines() if line.startswith(good[1])]
    assert "text.wav: not a recording that can be read" in printed.err


def test_jsonl_gives_one_object_per_file_errors_too(folder, tmp_path, capsys):
    good = str(write_tone(tmp_path / "tone.wav"))
    assert main(["predict", good, str(tmp_path / "nowhere.wav"), "--model", folder, "--format", "jsonl"]) == 2
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[0]["file"] == good and set(lines[0]["scores"]) == {"calm", "angry", "glad"}
    assert "no such file" in lines[1]["error"]
    assert main(["predict", good, "--model", folder, "--format", "jsonl"]) == 0


def test_published_layout_is_not_run_as_plain_hubert(tmp_path, capsys):
    tone = str(write_tone(tmp_path / "tone.wav"))
    assert main(["predict", tone, "--model", str(PUBLISHED)]) == 1
    assert "published layout: convert it first" in capsys.readouterr().err


def test_headerless_files_and_missing_ones_are_reported(folder, tmp_path, capsys):
    (tmp_path / "x.raw").write_bytes(bytes(1000))
    assert main(["predict", str(tmp_path / "x.raw"), str(tmp_path / "*.wav"), "--model", folder]) == 2
    message = capsys.readouterr().err
    assert "x.raw: not a recording" in message and "*.wav: there is no such file" in message


def test_folders_and_patterns_are_searched_once(recordings):
    names = ["broken.wav", "ünï 1.wav", "deep/b\n2.flac", STRANGE]
    expected = {str(recordings / name) for name in names}
    assert set(find_recordings([str(recordings)])) == expected
    twice = list(find_recordings([str(recordings / "*.wav").replace("calls", "call?"), str(recordings)]))
    assert set(twice) == expected and len(twice) == 4


@pytest.mark.parametrize("form", ["jsonl", "csv"])
@pytest.mark.parametrize("timeline", [False, True])
def test_a_stopped_run_goes_on_where_it_was(folder, recordings, tmp_path, capsys, form, timeline):
    command = ["predict", str(recordings), "--model", folder, "--format", form, "--output", str(tmp_path / "out")]
    command += ["--timeline"] if timeline else []
    assert main(command) == 2
    whole = (tmp_path / "out").read_text(encoding="utf-8")
    (tmp_path / "out").write_text(whole[: len(whole) - 30], encoding="utf-8")
    assert main([*command, "--resume"]) == 2
    assert sorted((tmp_path / "out").read_text(encoding="utf-8").splitlines()) == sorted(whole.splitlines())
    assert main([*command, "--resume"]) == 2
    kept = 2 if form == "csv" and timeline else 3  # the last recording's steps might have been cut off: it is redone
    assert f"{kept} were already done, 1 can't be used" in capsys.readouterr().err
    if form == "csv":
        rows = list(csv.DictReader(io.StringIO(whole)))
        assert [row["end"] for row in rows if row["file"].endswith("1.wav")] == (
            ["1.000", "1.500", "2.500"] if timeline else ["2.500"]
        )
        assert all(
            sum(float(row[name]) for name in ("calm", "angry", "glad")) == pytest.approx(1, abs=2e-4) for row in rows
        )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a device that is always full")
@pytest.mark.parametrize("form", ["jsonl", "csv", "table"])
def test_a_full_disk_is_named_and_not_a_traceback(folder, tmp_path, capsys, form):
    tone = str(write_tone(tmp_path / "tone.wav"))
    assert main(["predict", tone, "--model", folder, "--format", form, "--output", "/dev/full"]) == 1
    message = "exhubert: /dev/full: No space left on device. Make room, and run the command again.\n"
    assert capsys.readouterr().err.endswith(message)


def test_command_line_says_what_is_wrong_with_the_model(layout, tmp_path, capsys):
    tone = str(write_tone(tmp_path / "tone.wav"))
    assert main(["predict", tone, "--model", str(tmp_path / "nowhere")]) == 1
    message = capsys.readouterr().err
    assert "nowhere" in message and "Traceback" not in message


def test_a_silent_recording_is_a_result_of_its_own(folder, tmp_path, capsys):
    silent, tone = str(write_silence(tmp_path / "still.wav")), str(write_tone(tmp_path / "tone.wav"))
    command = ["predict", silent, tone, "--model", folder]
    assert main(command) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows[1] == [silent, "silent", "-", "1.50"] and rows[2][1] in ("calm", "angry", "glad")
    assert main([*command, "--timeline"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split() == [silent, "silent", "-", "0.00", "to", "0.50"]
    assert main([*command, "--format", "jsonl"]) == 0
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert first["silent"] and first["label"] is None and first["scores"] is None and first["windows"] == 2
    assert not second["silent"] and second["label"]
    assert main([*command, "--format", "csv", "--output", str(tmp_path / "out.csv")]) == 0
    whole = (tmp_path / "out.csv").read_text()
    assert [row["label"] for row in csv.DictReader(io.StringIO(whole))] == ["silent", second["label"]]
    assert main([*command, "--format", "csv", "--output", str(tmp_path / "out.csv"), "--resume"]) == 0
    assert "2 were already done" in capsys.readouterr().err and (tmp_path / "out.csv").read_text() == whole
    assert main([*command, "--format", "jsonl", "--keep_silence"]) == 0
    kept = json.loads(capsys.readouterr().out.splitlines()[0])
    assert not kept["silent"] and kept["label"] and kept["scores"]


def test_a_regression_model_prints_its_outputs_by_name(regression_folder, tmp_path, capsys):
    silent, tone = str(write_silence(tmp_path / "still.wav")), str(write_tone(tmp_path / "tone.wav"))
    command = ["predict", tone, silent, "--model", regression_folder]
    assert main([*command, "--format", "json"]) == 0
    first, second = json.loads(capsys.readouterr().out)
    assert list(first["scores"]) == OUTPUTS and abs(sum(first["scores"].values()) - 1) > 0.1
    assert not {"label", "arousal", "valence"} & {*first, *second} and second["silent"] and second["scores"] is None
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "class" not in printed and "probability" not in printed
    rows = [line.split() for line in printed.splitlines()]
    assert rows[0] == ["file", *OUTPUTS, "seconds"]
    assert rows[1] == [tone, *(f"{value:.2f}" for value in first["scores"].values()), "0.50"]
    assert rows[2] == [silent, "silent", "silent", "silent", "1.50"]
