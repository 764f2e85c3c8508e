"""A trained model goes to the Hub whole, with nothing else, to nobody who shouldn't see it; tried on a local Hub."""

import json
import subprocess
import sys
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import torch
import yaml
from huggingface_hub import parse_eval_result_entries

from exhubert import ExHuBERTForSequenceClassification, default_feature_extractor
from exhubert.hub.upload import plan, push

from .conftest import edit, environment, listed, whole
from .hub_server import TOKEN

RECIPE = Path(__file__).parents[2] / "recipes" / "push_to_hub.py"


WITHOUT_PACKAGE = """
import json, sys
sys.modules["exhubert"] = None
import numpy as np, torch
from transformers import AutoFeatureExtractor, AutoModelForAudioClassification
model = AutoModelForAudioClassification.from_pretrained("me/model", trust_remote_code=True)
extractor = AutoFeatureExtractor.from_pretrained("me/model")
inputs = extractor(np.load(sys.argv[1]), sampling_rate=16_000, return_tensors="pt")
with torch.no_grad():
    print(json.dumps([type(model).__module__, model(**inputs).logits[0].tolist()]))
"""


@pytest.mark.slow
def test_push_sends_what_the_dry_run_listed_and_the_model_loads_from_there(model, servers, tmp_path):
    server, storage = servers
    command = [sys.executable, str(RECIPE), str(model), "me/model"]
    offline = environment("https://huggingface.co", tmp_path / "home") | {"HF_HUB_OFFLINE": "1"}
    dry = subprocess.run([*command, "--dry-run"], env=offline, capture_output=True, text=True, check=False)
    assert dry.returncode == 0, dry.stderr
    assert "to https://huggingface.co/me/model, private" in dry.stdout and "nothing was sent" in dry.stdout
    assert not server.seen and not storage.seen

    online = environment(server.address, tmp_path / "home")
    done = subprocess.run(command, env=online, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    repository = server.repositories["me/model"]
    assert repository.private and len(repository.commits) == 1
    assert set(repository.files) == listed(dry.stdout) == listed(done.stdout) == whole(model)
    assert repository.files["model.safetensors"] == (model / "model.safetensors").read_bytes()
    assert f"sent: {server.address}/me/model/commit/" in done.stdout
    assert TOKEN not in done.stdout + done.stderr
    assert {token for _, _, token in storage.seen} == {None}, "large files went to another host, the token didn't"

    signal = np.sin(np.arange(8000) / 20).astype(np.float32)
    np.save(tmp_path / "signal.npy", signal)
    command = [sys.executable, "-c", WITHOUT_PACKAGE, str(tmp_path / "signal.npy")]
    loaded = subprocess.run(command, env=online, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert loaded.returncode == 0, loaded.stderr
    module, logits = json.loads(loaded.stdout.splitlines()[-1])
    original = ExHuBERTForSequenceClassification.from_pretrained(model)
    inputs = default_feature_extractor(original.config)(signal, sampling_rate=16_000, return_tensors="pt")
    with torch.no_grad():
        np.testing.assert_allclose(logits, original(**inputs).logits[0], atol=1e-6)
    assert module.startswith("transformers_modules.")


def test_checkpoints_pickles_and_predictions_stay_and_records_name_no_folder_here(model, tmp_path):
    for name in ("optimizer.pt", "training_args.bin", "pytorch_model.bin"):
        (model / name).touch()
    planned = plan(model, "me/model")
    assert {file.path for file in planned.files} == whole(model)
    assert {"checkpoint-1/", "checkpoint-2/", "optimizer.pt", "training_args.bin", "pytorch_model.bin"} < set(
        planned.staying
    )
    assert "predictions.csv" in planned.staying and "predictions.csv" in str(planned)
    contents = {
        file.path: file.content if isinstance(file.content, bytes) else file.content.read_bytes()
        for file in planned.files
    }
    here = str(tmp_path.parent).encode()
    assert here in (model / "run.json").read_bytes(), "else there is nothing to cut"
    assert [path for path, content in contents.items() if here in content] == []
    assert json.loads(contents["run.json"])["model"]["model"] == "extended"
    assert json.loads(contents["config.json"])["model_type"] == "exhubert"


@pytest.mark.parametrize("to", ["verify_at", "moved_to"])
def test_only_the_hub_gets_the_token_wherever_it_points(model, here, to):
    """Addresses for large files, for the check after their upload, and redirects can name other hosts."""
    setattr(here, to, here.storage.address)
    planned = plan(model, "me/model")
    if to == "verify_at":
        push(planned)
    else:
        with pytest.raises(ValueError, match="preupload"):
            push(planned)
    assert len(here.storage.seen) >= 1
    assert {token for _, _, token in here.storage.seen} == {None}


@pytest.mark.parametrize(
    ("file", "recipe"),
    [
        ("README.md", r"evaluate_model\.py --card"),
        ("run.json", r"train\.py"),
        ("trainer_state.json", r"train\.py"),
        ("preprocessor_config.json", r"train\.py"),
        ("model.safetensors", r"train\.py"),
        ("modeling_exhubert.py", "save_pretrained"),
        ("evaluation/results.json", r"evaluate_model\.py"),
    ],
)
def test_a_missing_file_is_named_with_what_writes_it(model, file, recipe):
    (model / file).unlink()
    with pytest.raises(FileNotFoundError, match=rf"{Path(file).name}.*{recipe}"):
        plan(model, "me/model")


def test_a_card_of_another_evaluation_is_refused(model):
    results = model / "evaluation" / "results.json"
    edit(results, overall=json.loads(results.read_text())["overall"] | {"uar": 0.987654})
    with pytest.raises(ValueError, match=r"README\.md has the UAR .*, results\.json has 0\.9877"):
        plan(model, "me/model")


@pytest.mark.parametrize("public", [True, False])
def test_a_repository_with_the_other_visibility_gets_no_file(model, here, public):
    push(plan(model, "me/model", public=not public))
    here.repositories["me/model"].files = {}
    with pytest.raises(PermissionError, match=f"already exists and is {'private' if public else 'public'}"):
        push(plan(model, "me/model", public=public))
    assert here.repositories["me/model"].files == {} and len(here.repositories["me/model"].commits) == 1


def test_weights_of_an_earlier_push_never_lie_beside_new_ones(model, here):
    push(plan(model, "me/model"))
    here.repositories["me/model"].files["NOTES.md"] = b"written on the Hub"
    trained = ExHuBERTForSequenceClassification.from_pretrained(model)
    trained.save_pretrained(model, max_shard_size="100KB")
    (model / "model.safetensors").unlink(missing_ok=True)
    push(plan(model, "me/model"))
    files = set(here.repositories["me/model"].files)
    assert {"model.safetensors.index.json", "NOTES.md"} < files and "model.safetensors" not in files
    shards = {name for name in files if name.startswith("model-")}
    one_file = whole(model) - {"model.safetensors"}
    assert len(shards) > 1 and files - shards == one_file | {"model.safetensors.index.json", "NOTES.md"}
    (model / min(shards)).unlink()
    with pytest.raises(FileNotFoundError, match=min(shards)):
        plan(model, "me/model")


def test_a_benchmark_gets_the_figure_in_the_form_its_leaderboard_reads(model):
    planned = plan(model, "me/model", benchmark="somebody/emotions:test")
    [content] = [file.content for file in planned.files if file.path == ".eval_results/exhubert.yaml"]
    [entry] = parse_eval_result_entries(yaml.safe_load(content))
    results = json.loads((model / "evaluation" / "results.json").read_text())
    assert (entry.dataset_id, entry.task_id) == ("somebody/emotions", "test")
    assert entry.value == round(results["overall"]["uar"], 4)
    assert entry.source_url.endswith("/me/model/blob/main/evaluation/results.json")
    with pytest.raises(ValueError, match="--benchmark emotions: expected owner/dataset:task"):
        plan(model, "me/model", benchmark="emotions")


def test_push_says_what_is_wrong_before_anything_is_sent(model, here, monkeypatch):
    planned = plan(model, "me/model")
    for name in ("model", "a/b/c"):
        with pytest.raises(ValueError, match=name):
            plan(model, name)
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(OSError, match="no token found.*hf auth login"):
        push(planned)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://hub.example")
    with pytest.raises(ValueError, match="HF_ENDPOINT is http://hub.example: the token would be sent unencrypted"):
        push(planned)
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(ConnectionError, match=r"127\.0\.0\.1:1 can't be reached.*push again"):
        push(planned)
    assert not here.seen
