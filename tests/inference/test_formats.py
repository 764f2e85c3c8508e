"""The formats of annotation tools, read by libraries of those tools."""

import csv
import io

import pytest

from exhubert.cli.main import main
from exhubert.inference.formats import PER_RECORDING, csv_lines
from exhubert.inference.recordings import load_pipeline, predict

from ..conftest import OUTPUTS, write_silence, write_tone


def test_annotation_formats_are_read_by_their_tools_libraries(folder, recordings, tmp_path):
    textgrid, pympi = pytest.importorskip("praatio.textgrid"), pytest.importorskip("pympi")
    path = str(recordings / "ünï 1.wav")
    steps = [(step.start, step.end, step.label) for step in predict(load_pipeline(folder), path, hop_s=0.5).timeline()]
    assert steps[0][:2] == (0.0, 0.5) and steps[-1][1] == 2.5 and len(steps) == 4
    for form in ("textgrid", "elan", "audacity"):
        command = [
            "predict",
            path,
            "--model",
            folder,
            "--hop_s",
            "0.5",
            "--format",
            form,
            "--output",
            str(tmp_path / form),
        ]
        assert main(command) == 0
    [found] = (tmp_path / "textgrid").glob("[!.]*")
    tier = textgrid.openTextgrid(str(found), includeEmptyIntervals=False).getTier("emotion")
    assert [tuple(entry) for entry in tier.entries] == steps
    [found] = (tmp_path / "elan").glob("[!.]*")
    annotations = pympi.Eaf(str(found)).get_annotation_data_for_tier("emotion")
    assert sorted(annotations) == [(round(1000 * start), round(1000 * end), label) for start, end, label in steps]
    [found] = (tmp_path / "audacity").glob("[!.]*")
    lines = [line.split("\t") for line in found.read_text().splitlines()]
    assert [(float(start), float(end), label) for start, end, label in lines] == steps


def test_silence_and_regression_are_marked_in_every_format(folder, regression_folder, tmp_path):
    silent, tone = write_silence(tmp_path / "still.wav"), write_tone(tmp_path / "tone.wav", 1.0)
    classes, numbers = load_pipeline(folder), load_pipeline(regression_folder)
    for classifier in (classes, numbers):
        found = predict(classifier, silent)
        for render, _ in PER_RECORDING.values():
            text = render(found)
            assert text.count("silent") == len(found.timeline()) == 2
            assert not any(name in text for name in found.names)
    heard = predict(numbers, tone)
    caption = ", ".join(f"{name} {heard.scores[name]:.2f}" for name in OUTPUTS)
    assert all(caption in render(heard) for render, _ in PER_RECORDING.values())


@pytest.mark.parametrize("timeline", [False, True])
def test_csv_has_a_column_for_each_name_though_the_first_recording_is_silent(
    folder, regression_folder, timeline, tmp_path
):
    silent, tone = write_silence(tmp_path / "still.wav", 1.0), write_tone(tmp_path / "tone.wav", 1.0)
    for model, column, mark in ((folder, "label", "silent"), (regression_folder, "silent", "true")):
        classifier = load_pipeline(model)
        first, second = predict(classifier, silent), predict(classifier, tone)
        text = csv_lines(first, timeline) + csv_lines(second, timeline, header=False)
        rows = list(csv.DictReader(io.StringIO(text)))
        assert [row[column] for row in rows] == [mark, second.label or "false"]
        assert [rows[0][name] for name in first.names] == [""] * 3
        assert {name: float(rows[1][name]) for name in first.names} == pytest.approx(second.scores, abs=1e-4)
