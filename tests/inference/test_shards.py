"""Shards: names that survive, lines that were half written."""

from exhubert.cli.annotate import main
from exhubert.inference.annotation import read_annotations
from exhubert.inference.shards import escaped, unescaped

from .conftest import NAMES, results


def test_escaped_names_are_told_apart_and_come_back():
    names = [*NAMES, "plain", "\udcff", r"\xff", r"\\xff", "\\", "\\\udcff", "\udce2\udc80\u2028"]
    assert len({escaped(name) for name in names}) == len(names)
    assert [unescaped(escaped(name).encode().decode()) for name in names] == names


def test_a_half_written_line_and_a_journal_already_finished_are_not_counted(model, many, tmp_path):
    """What a kill leaves between two writes, and between the shard and the removal of its journal."""
    command = [str(many), "--model", model, "--output", str(tmp_path / "out")]
    assert main(command) == 0
    whole = results(tmp_path / "out")
    shards = sorted((tmp_path / "out" / "results").iterdir())
    lines = shards[0].read_bytes().splitlines(keepends=True)
    shards[0].unlink()
    (tmp_path / "out" / "work" / shards[0].name).write_bytes(lines[0] + lines[1][:-20])
    (tmp_path / "out" / "work" / shards[1].name).write_bytes(shards[1].read_bytes())
    (tmp_path / "out" / "results" / (shards[0].name + ".incomplete")).write_bytes(lines[0])
    assert len(read_annotations(tmp_path / "out")) == 100 - len(lines) + 1
    assert main(command) == 0
    assert results(tmp_path / "out") == whole and set(whole.values()) == {1} and len(whole) == 100
