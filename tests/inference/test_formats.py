"""The formats of annotation tools, read by libraries of those tools."""

import pytest

from exhubert.cli.main import main
from exhubert.inference.recordings import load_pipeline, predict


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
