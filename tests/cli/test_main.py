"""The command answers at once, and every program ends in a sentence and an exit code."""

import subprocess
import sys
from pathlib import Path

import pytest

from exhubert.cli.main import main
from exhubert.cli.program import exit_code
from exhubert.emoset.catalog import entry

from ..conftest import tiny_hubert

RECIPES = Path(__file__).parents[2] / "recipes"


@pytest.mark.parametrize(
    "command", [["--help"], ["predict", "--help"], ["emoset", "list"], ["emoset", "show", "emo_db"]]
)
def test_what_needs_no_model_imports_neither_torch_nor_transformers(command):
    code = (
        "import sys; from exhubert.cli.main import main\n"
        f"try: main({command!r})\nexcept SystemExit: pass\n"
        "names = ('torch', 'transformers', 'datasets', 'pandas', 'pyarrow')\n"
        "print(*[name for name in names if name in sys.modules], sep='|')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == ""


def fails(error):
    def run():
        raise error

    return run


@pytest.mark.parametrize("error", [ValueError("wrong"), RuntimeError("incomplete"), FileNotFoundError("no such file")])
def test_what_a_user_can_cause_is_one_line_and_1(error, capsys):
    assert exit_code(fails(error), "train.py") == 1
    assert capsys.readouterr().err == f"train.py: {error}\n"


def test_ctrl_c_is_one_line_and_130(capsys):
    assert exit_code(fails(KeyboardInterrupt()), "train.py") == 130
    assert capsys.readouterr().err == "train.py: stopped.\n"


def test_a_key_error_of_ours_is_a_sentence_and_any_other_a_fault(capsys):
    assert exit_code(lambda: entry("emodb"), "exhubert") == 1
    assert capsys.readouterr().err.startswith("exhubert: The catalog has no corpus 'emodb'; did you mean emo_db")
    with pytest.raises(KeyError):
        exit_code(fails(KeyError("fingerprint")), "exhubert")


def test_mistakes_of_the_command_line_are_sentences(capsys):
    assert main(["emoset", "build", "--corpus", "emo_db", "--output", "x"]) == 1
    assert "exhubert: --corpus emo_db: expected NAME=FOLDER" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["evaluate_model", "compare", "train"])
def test_an_incomplete_model_is_a_sentence_in_every_recipe(recipe, tone_dataset, tmp_path):
    import safetensors.torch

    from exhubert import SIX_CLASSES, ExHuBERTForSequenceClassification

    model = ExHuBERTForSequenceClassification.from_hubert(tiny_hubert("pre_norm"), list(SIX_CLASSES))
    model.save_pretrained(tmp_path / "model")
    weights = safetensors.torch.load_file(tmp_path / "model" / "model.safetensors")
    weights.pop("hubert.encoder.layers.0.gate.weight")
    safetensors.torch.save_file(weights, tmp_path / "model" / "model.safetensors", metadata={"format": "pt"})
    (tmp_path / "arm.yaml").write_text("method: exhubert\n")
    arguments = {
        "evaluate_model": [str(tmp_path / "model"), "--output", str(tmp_path / "out")],
        "compare": [
            str(tmp_path / "arm.yaml"), "--output", str(tmp_path / "out"), "--protocol", "held_out",
            "--set", f"model={tmp_path / 'model'}",
        ],
        "train": ["--model", str(tmp_path / "model"), "--output_dir", str(tmp_path / "out")],
    }[recipe]  # fmt: skip
    command = [sys.executable, str(RECIPES / f"{recipe}.py"), *arguments, "--data", str(tone_dataset)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith(f"{recipe}.py: ") and "not hold a complete" in done.stderr


def test_ctrl_c_during_the_imports_of_a_recipe_is_one_line_too():
    code = "import exhubert.cli.program; raise KeyboardInterrupt"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode != 0 and done.stderr == "-c: stopped.\n"
