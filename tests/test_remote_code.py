"""Saved folders work where exhubert is not installed, and the code that travels imports nothing else."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import exhubert
from exhubert import ExHuBERTForSequenceClassification, default_feature_extractor

from .conftest import PUBLISHED, tiny_hubert

WITHOUT_PACKAGE = """
import json, sys
sys.modules["exhubert"] = None
import numpy as np, torch
from transformers import AutoModel, AutoModelForAudioClassification, pipeline
folder, signal = sys.argv[1], np.load(sys.argv[2])
base = AutoModel.from_pretrained(folder, trust_remote_code=True)
model = AutoModelForAudioClassification.from_pretrained(folder, trust_remote_code=True)
classifier = pipeline("audio-classification", model=folder, trust_remote_code=True)
with torch.no_grad():
    logits = model(torch.from_numpy(signal)[None]).logits[0].tolist()
model.save_pretrained(folder + "_again")
classifier.feature_extractor.save_pretrained(folder + "_again")
again = pipeline("audio-classification", model=folder + "_again", trust_remote_code=True)
frozen = {p.requires_grad for block in model.blocks for p in block.frozen.parameters()}
try:
    type(model).from_hubert(folder)
except ModuleNotFoundError as error:
    message = str(error)
print(json.dumps({
    "classes": [type(base).__module__, type(base).__name__, type(model).__name__], "logits": logits,
    "labels": [item["label"] for item in classifier({"array": signal, "sampling_rate": 8000})],
    "pipeline": [type(classifier).__name__, type(classifier).__module__.split(".")[0]], "frozen": list(frozen),
    "again": [type(again).__name__, again(signal) == classifier(signal)],
    "message": message,
}))
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["extended", "published"])
def test_saved_folder_loads_in_a_process_without_the_package(kind, tmp_path):
    if kind == "extended":
        model = ExHuBERTForSequenceClassification.from_hubert(tiny_hubert("pre_norm"))
    else:
        model = ExHuBERTForSequenceClassification.from_published(PUBLISHED)
    with torch.no_grad():
        for block in model.blocks:
            block.gate.bias.fill_(0.05)
    model.save_pretrained(tmp_path / "model")
    default_feature_extractor(model.config).save_pretrained(tmp_path / "model")
    signal = np.sin(np.arange(8000) / 20).astype(np.float32)
    np.save(tmp_path / "signal.npy", signal)
    command = [sys.executable, "-c", WITHOUT_PACKAGE, str(tmp_path / "model"), str(tmp_path / "signal.npy")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["classes"][0].startswith("transformers_modules.")
    assert found["classes"][1:] == ["ExHuBERTModel", "ExHuBERTForSequenceClassification"]
    with torch.no_grad():
        expected = model(torch.from_numpy(signal)[None]).logits[0]
    np.testing.assert_allclose(found["logits"], expected, atol=1e-6)
    assert found["pipeline"] == ["ExHuBERTPipeline", "transformers_modules"]
    assert found["again"] == ["ExHuBERTPipeline", True]
    assert set(found["labels"]) == set(model.config.id2label.values())
    assert found["frozen"] == [False]
    assert "needs the exhubert package" in found["message"]


@pytest.mark.parametrize(
    "name",
    [
        "configuration_exhubert.py",
        "modeling_exhubert.py",
        "pipeline_exhubert.py",
        "audio.py",
        "audio_containers.py",
        "audio_headers.py",
        "audio_mixing.py",
        "audio_windows.py",
    ],
)
def test_travelling_files_import_only_torch_transformers_and_each_other(name):
    tree = ast.parse((Path(exhubert.__file__).parent / name).read_text())
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add("." + node.module if node.level else node.module.split(".")[0])
    allowed = {"torch", "transformers", "huggingface_hub", ".configuration_exhubert"} | set(sys.stdlib_module_names)
    if name.startswith(("pipeline", "audio")):
        allowed |= {"numpy", "soundfile", "soxr", "av", ".audio"}
        allowed |= {".audio_containers", ".audio_headers", ".audio_mixing", ".audio_windows"}
    assert imported <= allowed


def test_importing_the_package_is_cheap():
    code = "import sys, exhubert; print([m for m in ('datasets', 'evaluate', 'matplotlib') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
