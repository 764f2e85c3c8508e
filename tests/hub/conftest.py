"""What the tests of this folder share."""

import json
import os
import shutil
from pathlib import Path

import huggingface_hub
import pytest

from exhubert import ExHuBERTForSequenceClassification, default_feature_extractor

from ..conftest import load_recipe
from .hub_server import TOKEN, Hub, Storage

RECORDS = {
    "README.md", "config.json", "configuration_exhubert.py", "evaluation/results.json", "modeling_exhubert.py",
    "audio.py", "audio_containers.py", "audio_headers.py", "audio_mixing.py", "audio_windows.py",
    "pipeline_exhubert.py", "preprocessor_config.json", "run.json", "trainer_state.json",
}  # fmt: skip


@pytest.fixture(scope="module")
def finished(hubert_folder, tone_dataset, tmp_path_factory) -> Path:
    """A run that was trained for two steps, with checkpoints, and evaluated with a card."""
    folder = tmp_path_factory.mktemp("hub")
    model = ExHuBERTForSequenceClassification.from_hubert(hubert_folder, license="cc-by-4.0")
    model.save_pretrained(folder / "extended")
    default_feature_extractor(model.config).save_pretrained(folder / "extended")
    settings = {
        "model": folder / "extended", "data": tone_dataset, "output_dir": folder / "model", "max_steps": 2,
        "save_steps": 1, "eval_steps": 1, "eval_strategy": "steps", "save_strategy": "steps", "learning_rate": 1e-3,
        "warmup_steps": 0, "per_device_train_batch_size": 4, "max_seconds": 0.4,
    }  # fmt: skip
    load_recipe("train").main([f"--{name}={value}" for name, value in settings.items()])
    evaluation = str(folder / "model" / "evaluation")
    load_recipe("evaluate_model").main(
        [str(folder / "model"), "--data", str(tone_dataset), "--output", evaluation, "--card"]
    )
    return folder / "model"


@pytest.fixture
def model(finished, tmp_path) -> Path:
    """A copy of the run to change, trained on a corpus that may be passed on."""
    shutil.copytree(finished, tmp_path / "model")
    edit(tmp_path / "model" / "run.json", corpora=["emo_db"])
    return tmp_path / "model"


@pytest.fixture
def servers():
    with Storage() as storage, Hub(storage) as hub_server:
        yield hub_server, storage


@pytest.fixture
def here(servers, monkeypatch, tmp_path) -> Hub:
    """The local Hub, with this process's huggingface_hub set to it as its environment variables would."""
    settings = {"ENDPOINT": servers[0].address, "HF_HUB_OFFLINE": False, "HF_HUB_DISABLE_XET": True}
    settings["HF_TOKEN_PATH"] = str(tmp_path / "token")
    for name, value in settings.items():
        monkeypatch.setattr(huggingface_hub.constants, name, value)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    return servers[0]


def whole(model: Path) -> set[str]:
    """All that belongs to a model in one file."""
    plots = {f"plots/{path.name}" for path in (model / "plots").iterdir()}
    assert {f"plots/{name}.png" for name in ("confusion", "gates", "groups", "training")} <= plots
    return RECORDS | plots | {"model.safetensors"}


def edit(path: Path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def environment(address: str, home: Path) -> dict[str, str]:
    own = {"HF_ENDPOINT": address, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1", "HF_TOKEN": TOKEN}
    return os.environ | own | {"HF_HOME": str(home)}


def listed(printed: str) -> set[str]:
    lines = printed.splitlines()
    end = next(index for index, line in enumerate(lines) if " files, " in line)
    return {line.split()[0] for line in lines[2:end]}
