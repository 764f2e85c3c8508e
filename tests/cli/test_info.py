"""`exhubert info`."""

from exhubert.cli.main import main


def test_info_says_what_a_model_is(folder, capsys):
    assert main(["info", folder]) == 0
    printed = capsys.readouterr().out
    assert "classes         calm, angry, glad" in printed
    assert "blocks          3, 6 transformer layers of 32; 0 with a frozen gate" in printed
    assert "gates           0 open, 3 closed; norms 0.00 0.00 0.00" in printed


def test_a_regression_model_has_outputs_not_classes(regression_folder, capsys):
    assert main(["info", regression_folder]) == 0
    printed = capsys.readouterr().out
    assert "outputs         valence, arousal, dominance" in printed and "classes" not in printed
