"""`exhubert info`."""

import pytest

from exhubert import ExHuBERTForSequenceClassification, default_feature_extractor
from exhubert.cli.main import main

from ..conftest import tiny_hubert


@pytest.fixture
def folder(layout, tmp_path):
    model = ExHuBERTForSequenceClassification.from_hubert(tiny_hubert(layout), window_seconds=1.0)
    model.save_pretrained(tmp_path / "model")
    default_feature_extractor(model.config).save_pretrained(tmp_path / "model")
    return str(tmp_path / "model")


def test_info_says_what_a_model_is(folder, capsys):
    assert main(["info", folder]) == 0
    printed = capsys.readouterr().out
    assert "classes         calm, angry, glad" in printed
    assert "blocks          3, 6 transformer layers of 32; 0 with a frozen gate" in printed
    assert "gates           0 open, 3 closed; norms 0.00 0.00 0.00" in printed
