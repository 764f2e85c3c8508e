"""Uploading a dataset."""

import pytest

from exhubert.cli.main import main
from exhubert.emoset import build
from exhubert.hub.dataset import refuse_unless_allowed


def test_push_is_refused_for_corpora_that_may_not_be_passed_on(root, tmp_path, capsys):
    build({"enterface": root / "some archive", "emo_db": root / "EMO-DB"}, tmp_path / "out")
    with pytest.raises(PermissionError, match="enterface \\(free for research\\)"):
        refuse_unless_allowed(tmp_path / "out")
    assert main(["emoset", "push", str(tmp_path / "out"), "me/data"]) == 1
    assert "not pushed" in capsys.readouterr().err
    build({"emo_db": root / "EMO-DB"}, tmp_path / "allowed")
    refuse_unless_allowed(tmp_path / "allowed")
