"""`--channels`: a result for the mix, for each channel or for one, in every command and format."""

import csv
import io
import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from exhubert.cli.main import main
from exhubert.inference.annotation import read_annotations
from exhubert.inference.recordings import load_pipeline, predict

from ..conftest import opened, save


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    return str(save(opened("pre_norm"), tmp_path_factory.mktemp("model"), window_seconds=1.0))


@pytest.fixture(scope="module")
def classifier(model):
    return load_pipeline(model, "cpu")


def speaker(seed: int, seconds: float = 2.5, rate: int = 8_000) -> np.ndarray:
    """Noise in a band of its own, `(samples,)`."""
    noise = np.random.default_rng(seed).standard_normal(round(seconds * rate))
    return (0.1 * np.convolve(noise, np.cos(np.arange(20) * (0.3 + 0.5 * seed)), mode="same")).astype(np.float32)


@pytest.fixture
def calls(tmp_path):
    """Two calls with a speaker on each channel and a dictation with one channel, in order of their names."""
    folder = tmp_path / "calls"
    folder.mkdir()
    for index, name in enumerate(("a.wav", "b.wav")):
        voices = np.stack([speaker(2 * index), speaker(2 * index + 1)], axis=1)
        soundfile.write(folder / name, voices, 8_000, subtype="FLOAT")
    soundfile.write(folder / "c.wav", speaker(4), 8_000, subtype="FLOAT")
    return folder


def alone(folder, name, channel):
    """One channel of a recording in a file of its own."""
    samples, rate = soundfile.read(folder / name, dtype="float32", always_2d=True)
    path = folder.parent / f"{name}-{channel}.wav"
    soundfile.write(path, samples[:, channel], rate, subtype="FLOAT")
    return path


EACH = [("a.wav", 0), ("a.wav", 1), ("b.wav", 0), ("b.wav", 1), ("c.wav", 0)]


def rows_of(text: str, form: str) -> list[dict]:
    if form == "csv":
        return list(csv.DictReader(io.StringIO(text)))
    return json.loads(text) if form == "json" else [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("form", ["csv", "json", "jsonl"])
def test_each_channel_is_classified_as_if_it_were_a_recording(model, classifier, calls, capsys, form):
    assert main(["predict", str(calls), "--model", model, "--channels", "each", "--format", form]) == 0
    rows = rows_of(capsys.readouterr().out, form)
    assert [(row["file"], int(row["channel"])) for row in rows] == [(str(calls / name), ch) for name, ch in EACH]
    assert list(rows[0])[:2] == ["file", "channel"]
    for row, (name, channel) in zip(rows, EACH, strict=True):
        expected = predict(classifier, alone(calls, name, channel), skip_silence=True)
        scores = row if form == "csv" else row["scores"]
        assert [float(scores[label]) for label in expected.scores] == pytest.approx(
            list(expected.scores.values()), abs=1e-4
        )


@pytest.mark.parametrize("form", ["csv", "json", "jsonl"])
def test_without_the_option_the_formats_have_no_channel(model, calls, capsys, form):
    for options in ([], ["--channels", "mix"]):
        assert main(["predict", str(calls), "--model", model, "--format", form, *options]) == 0
        rows = rows_of(capsys.readouterr().out, form)
        assert len(rows) == 3 and not any("channel" in row for row in rows)


def test_one_channel_of_all_recordings_and_a_sentence_for_those_without_it(model, classifier, calls, capsys):
    command = ["predict", str(calls), "--model", model, "--format", "jsonl", "--channels", "1"]
    assert main(command) == 2
    printed = capsys.readouterr()
    *rows, last = rows_of(printed.out, "jsonl")
    assert [(row["file"], row["channel"]) for row in rows] == [(str(calls / name), 1) for name in ("a.wav", "b.wav")]
    assert rows[0]["scores"] == pytest.approx(predict(classifier, alone(calls, "a.wav", 1)).scores, abs=1e-5)
    assert last == {"file": str(calls / "c.wav"), "error": last["error"]}
    assert last["error"].endswith("c.wav: channel 1, counted from 0, was asked for; there are 1.")
    assert "2 of 3 recordings classified, 0 were already done, 1 can't be used" in printed.err


def test_batches_and_threads_change_nothing_and_a_bad_channel_stops_nothing(model, calls, capsys):
    broken = np.stack([speaker(7), np.full(20_000, np.nan)], axis=1)
    soundfile.write(calls / "broken.wav", broken, 8_000, subtype="FLOAT")
    (calls / "text.wav").write_text("no recording")
    command = ["predict", str(calls), "--model", model, "--format", "jsonl", "--channels", "each"]
    outputs = []
    for options in ([], ["--batch_size", "4", "--workers", "2"]):
        assert main([*command, *options]) == 2
        printed = capsys.readouterr()
        outputs.append([(row["file"], row.get("channel")) for row in rows_of(printed.out, "jsonl")])
        assert "broken.wav, channel 1: the recording holds NaN" in printed.err
        assert printed.err.count("text.wav") == 1, "no channel of it can be read"
        assert "3 of 5 recordings classified, 0 were already done, 2 can't be used" in printed.err
    assert outputs[0] == outputs[1]
    assert (str(calls / "broken.wav"), 0) in outputs[0]


def test_the_table_and_the_pictures_show_the_channel(model, calls, tmp_path, capsys):
    command = ["predict", str(calls), "--model", model, "--channels", "each"]
    assert main([*command, "--plot", str(tmp_path / "plots")]) == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split() == ["file", "channel", "class", "probability", "seconds"]
    assert [(line.split()[0], line.split()[1]) for line in lines] == [(str(calls / name), str(ch)) for name, ch in EACH]
    names = sorted(path.name.rpartition("-")[2] for path in (tmp_path / "plots").iterdir())
    assert names == ["channel0.png"] * 3 + ["channel1.png"] * 2
    assert main(["predict", str(calls / "a.wav"), *command[2:], "--plot", str(tmp_path / "one.png")]) == 1
    assert "one.png is one picture, but each channel has its own: give a folder" in capsys.readouterr().err


def test_annotation_tools_get_a_tier_for_each_channel(model, classifier, calls, tmp_path):
    textgrid, pympi = pytest.importorskip("praatio.textgrid"), pytest.importorskip("pympi")
    for form in ("textgrid", "elan", "audacity"):
        command = ["predict", str(calls / "a.wav"), "--model", model, "--channels", "each", "--format", form]
        assert main([*command, "--output", str(tmp_path / form)]) == 0
    steps = {
        channel: [
            (step.start, step.end, step.label)
            for step in predict(classifier, alone(calls, "a.wav", channel)).timeline()
        ]
        for channel in (0, 1)
    }
    grid = textgrid.openTextgrid(str(next((tmp_path / "textgrid").glob("*.TextGrid"))), includeEmptyIntervals=False)
    document = pympi.Eaf(str(next((tmp_path / "elan").glob("*.eaf"))))
    lines = [line.split("\t") for line in next((tmp_path / "audacity").glob("*.txt")).read_text().splitlines()]
    assert grid.tierNames == ("emotion, channel 0", "emotion, channel 1")
    for channel, expected in steps.items():
        tier = f"emotion, channel {channel}"
        assert [tuple(entry) for entry in grid.getTier(tier).entries] == expected
        found = sorted(document.get_annotation_data_for_tier(tier))
        assert found == [(round(1000 * start), round(1000 * end), label) for start, end, label in expected]
        labels = [(float(start), float(end), label) for start, end, label in lines if label.startswith(f"{channel}: ")]
        assert labels == [(start, end, f"{channel}: {label}") for start, end, label in expected]


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@pytest.mark.parametrize("timeline", [False, True])
def test_a_run_stopped_between_two_channels_goes_on_with_whole_recordings(
    model, calls, tmp_path, capsys, form, timeline
):
    output = tmp_path / "out"
    command = ["predict", str(calls), "--model", model, "--format", form, "--output", str(output), "--channels", "each"]
    command += ["--timeline"] if timeline else []
    assert main(command) == 0
    whole = output.read_text()
    lines = whole.splitlines(keepends=True)
    for kept in range(len(lines)):
        output.write_text("".join(lines[:kept]) + lines[kept][: len(lines[kept]) // 2])
        assert main([*command, "--resume"]) == 0
        assert sorted(output.read_text().splitlines()) == sorted(whole.splitlines())
    capsys.readouterr()
    assert main([*command, "--resume"]) == 0
    assert f"{2 if form == 'csv' and timeline else 3} were already done" in capsys.readouterr().err
    for other in ("mix", "1"):
        assert (
            main([*command[:-1], other, "--resume"] if not timeline else [*command, "--channels", other, "--resume"])
            == 1
        )
        assert "its results are for other --channels; give those, or another --output" in capsys.readouterr().err
    assert sorted(output.read_text().splitlines()) == sorted(whole.splitlines())


def test_annotations_of_other_channels_have_other_files(model, calls, tmp_path):
    command = [
        "predict",
        str(calls / "a.wav"),
        "--model",
        model,
        "--format",
        "textgrid",
        "--output",
        str(tmp_path / "out"),
    ]
    for count, channel in enumerate(("mix", "each", "0", "1"), start=1):
        assert main([*command, "--resume", "--channels", channel]) == 0
        assert len(list((tmp_path / "out").glob("*.TextGrid"))) == count


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_annotate_has_a_row_for_each_channel_and_resumes(model, classifier, calls, tmp_path, capsys, form):
    output = tmp_path / "out"
    command = ["annotate", str(calls), "--model", model, "--output", str(output), "--format", form]
    assert main([*command[:1], str(calls / "b.wav"), *command[2:], "--channels", "each"]) == 0
    assert main([*command, "--channels", "each"]) == 0
    assert "2 recordings classified" in capsys.readouterr().err
    table = read_annotations(output)
    assert list(zip(table["file"], table["channel"], strict=True)) == [(str(calls / name), ch) for name, ch in EACH]
    for row, (name, channel) in zip(table.to_dict("records"), EACH, strict=True):
        expected = predict(classifier, alone(calls, name, channel)).scores
        assert {label: row[f"scores.{label}"] for label in expected} == pytest.approx(expected, abs=1e-5)
    for other, shown in (("mix", "None"), ("0", "0")):
        assert main([*command, "--channels", other]) == 1
        assert f"began with channel 'each', but now channel is {shown}" in capsys.readouterr().err


def test_annotate_takes_one_channel_and_sets_recordings_without_it_aside(model, calls, tmp_path, capsys):
    command = ["annotate", str(calls), "--model", model, "--output", str(tmp_path / "out"), "--channels", "1"]
    assert main(command) == 2
    assert "c.wav: channel 1, counted from 0, was asked for; there are 1" in capsys.readouterr().err
    assert list(read_annotations(tmp_path / "out")["channel"]) == [1, 1]


@pytest.mark.parametrize("given", ["left", "-1", "1.5", ""])
def test_what_is_no_channel_is_said(model, calls, capsys, given):
    with pytest.raises(SystemExit):
        main(["predict", str(calls), "--model", model, f"--channels={given}"])
    assert f"{given!r}; expected mix, each, or the number of a channel, from 0" in capsys.readouterr().err


def listened(monkeypatch, capsys, content: bytes, *options: str) -> list[dict]:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BufferedReader(io.BytesIO(content))))
    assert main(["listen", "-", "--format", "jsonl", *options]) == 0
    return rows_of(capsys.readouterr().out, "jsonl")


@pytest.mark.parametrize("pcm", ["ulaw", "alaw"])
def test_telephone_streams_are_followed_mixed_and_by_channel(model, classifier, calls, capsys, monkeypatch, pcm):
    """Against the same samples as soundfile writes and reads them in an .au file."""
    samples, rate = soundfile.read(calls / "a.wav")
    au, raw = calls.parent / "call.au", calls.parent / "call.raw"
    soundfile.write(au, samples, rate, subtype=pcm.upper())
    soundfile.write(raw, samples, rate, subtype=pcm.upper(), format="RAW")
    options = ["--model", model, "--pcm", pcm, "--pcm_channels", "2"]
    content = raw.read_bytes()
    assert len(content) == 2 * 20_000
    for channels, indices in (("mix", [None]), ("each", [0, 1]), ("1", [1])):
        rows = listened(monkeypatch, capsys, content, *options, "--channels", channels)
        assert [row.get("channel") for row in rows] == indices * 3
        for index in indices:
            expected = predict(classifier, au, channel=index).windows
            found = [row for row in rows if row.get("channel") == index]
            assert [(row["start"], row["end"]) for row in found] == [(w.start, w.end) for w in expected]
            for row, window in zip(found, expected, strict=True):
                assert row["scores"] == pytest.approx(window.scores, abs=1e-4)


def test_a_stream_without_that_channel_is_said_before_it_is_heard(model, capsys):
    assert main(["listen", "-", "--model", model, "--channels", "2", "--pcm_channels", "2"]) == 1
    message = "--channels 2 is a channel counted from 0, but standard input has 2 (--pcm_channels)"
    assert message in capsys.readouterr().err
