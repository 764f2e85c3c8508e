"""A trained model goes to the Hub whole, with nothing else, to nobody who shouldn't see it; tried on a local Hub."""

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import torch
import yaml
from huggingface_hub import parse_eval_result_entries

from exhubert import ExHuBERTForSequenceClassification, default_feature_extractor
from exhubert.hub.space import plan_space
from exhubert.hub.upload import plan, push

from ..conftest import load_recipe
from .hub_server import TOKEN, Hub, Storage

RECIPE = Path(__file__).parents[2] / "recipes" / "push_to_hub.py"
RECORDS = {
    "README.md", "config.json", "configuration_exhubert.py", "evaluation/results.json", "modeling_exhubert.py",
    "audio.py", "pipeline_exhubert.py",
    "preprocessor_config.json", "run.json", "trainer_state.json",
}  # fmt: skip
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


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def listed(printed: str) -> set[str]:
    lines = printed.splitlines()
    end = next(index for index, line in enumerate(lines) if " files, " in line)
    return {line.split()[0] for line in lines[2:end]}


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


def test_a_corpus_that_may_not_be_passed_on_keeps_a_model_private_until_it_is_accepted(model, here, capsys):
    edit(model / "run.json", corpora=["emo_db", "iemocap"])
    recipe = load_recipe("push_to_hub").main
    for mode in ([], ["--dry-run"]):
        with pytest.raises(
            PermissionError, match=r"trained on iemocap.*IEMOCAP release form.*--accept_corpora iemocap"
        ):
            recipe([str(model), "me/model", "--public", *mode])
    with pytest.raises(PermissionError, match="nothing was sent"):
        push(plan(model, "me/model", public=True))
    assert not here.seen, "nothing is asked of the Hub before the terms are clear"
    assert "trained on emo_db (may be passed on)" in capsys.readouterr().out

    recipe([str(model), "me/private"])
    assert here.repositories["me/private"].private
    assert "against public: It was trained on iemocap" in capsys.readouterr().out

    recipe([str(model), "me/public", "--public", "--accept_corpora", "iemocap"])
    assert not here.repositories["me/public"].private and set(here.repositories["me/public"].files) == whole(model)
    with pytest.raises(ValueError, match="--accept_corpora emo_db: nothing of that name stands in the way"):
        recipe([str(model), "me/public", "--public", "--accept_corpora", "emo_db"])


def test_corpora_nobody_knows_of_keep_a_model_private(model, finished):
    run = json.loads((model / "run.json").read_text())
    for corpora, objection in (
        (["own"], "trained on own.*not in the catalog"),
        (["cve"], "trained on cve.*nobody knows whether it may be passed on"),
        (None, "run.json doesn't name the corpora that were trained on"),
    ):
        edit(model / "run.json", corpora=corpora, data=run["data"] | {"corpora": None})
        with pytest.raises(PermissionError, match=objection):
            plan(model, "me/model", public=True).refuse_unless_allowed()
    accepted = ["own", "unknown"]  # the one that was evaluated, and whatever else there may have been
    plan(model, "me/model", public=True, accepted=accepted).refuse_unless_allowed()


def test_corpora_of_the_run_a_model_started_from_count_too(model, finished, tmp_path):
    shutil.copytree(finished, tmp_path / "first")
    edit(tmp_path / "first" / "run.json", corpora=["meld", "iemocap"])
    (tmp_path / "extended").mkdir()
    came_from = {"model_type": "exhubert", "base_checkpoint": str(tmp_path / "first")}
    (tmp_path / "extended" / "config.json").write_text(json.dumps(came_from))
    settings = json.loads((model / "run.json").read_text())["model"]
    edit(model / "run.json", model=settings | {"model": str(tmp_path / "extended")})
    with pytest.raises(PermissionError, match="trained on iemocap"):
        plan(model, "me/model", public=True).refuse_unless_allowed()


@pytest.mark.parametrize(
    ("in_card", "in_config", "objection"),
    [
        (None, None, "names no licence"),
        ("unknown", None, "names no licence"),
        ("other", None, "without `license_link`"),
        ("cc-by-nc-nd-4.0", None, "forbids passing on what was derived"),
        ("mit", "cc-by-nc-sa-4.0", "README.md has the licence mit, config.json has cc-by-nc-sa-4.0"),
        ("cc-by-nc-sa-4.0", "cc-by-nc-sa-4.0", None),
    ],
)
def test_public_needs_a_licence_that_others_can_use(model, in_card, in_config, objection):
    edit(model / "config.json", license=in_config)
    card = huggingface_hub.ModelCard.load(model / "README.md")
    card.data.license = in_card
    card.save(model / "README.md")
    planned = plan(model, "me/model", public=True)
    expected = contextlib.nullcontext() if objection is None else pytest.raises(PermissionError, match=objection)
    with expected:
        planned.refuse_unless_allowed()
    plan(model, "me/model").refuse_unless_allowed()


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


@pytest.mark.slow
def test_a_space_holds_what_the_dry_run_listed_and_serves_the_model_from_that_alone(model, here, capsys, tmp_path):
    pytest.importorskip("gradio")
    recipe = load_recipe("push_to_hub").main
    recipe([str(model), "me/model", "--space", "--dry-run"])
    dry = capsys.readouterr().out
    assert not here.seen
    recipe([str(model), "me/model", "--space"])
    of_model, of_space = dry.split("\n\n")
    assert f"to {here.address}/spaces/me/model, private" in of_space and "needs a secret HF_TOKEN" in of_space
    space = here.repositories["spaces/me/model"]
    assert space.private and len(space.commits) == 1 and set(space.files) == listed(of_space)
    assert set(here.repositories["me/model"].files) == listed(of_model) == whole(model)
    front = yaml.safe_load(space.files["README.md"].decode().split("---")[1])
    expected = {"sdk": "gradio", "sdk_version": version("gradio"), "app_file": "app.py", "models": ["me/model"]}
    assert expected.items() <= front.items()
    needed = {re.match(r"[\w-]+", line)[0] for line in space.files["requirements.txt"].decode().splitlines()}
    assert {"torch", "transformers", "soundfile", "soxr"} <= needed and "exhubert" not in needed

    for path, content in space.files.items():
        (tmp_path / "space" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "space" / path).write_bytes(content)
    port, folder = free_port(), tmp_path / "space"
    edits = {"app.py": ("7860", str(port)), "exhubert/app/page.py": ("the page is at", "the Space's own page is at")}
    for path, change in edits.items():
        (folder / path).write_text((folder / path).read_text().replace(*change))
    with (tmp_path / "stderr").open("w") as stderr:
        pipes = {"stdout": subprocess.PIPE, "stderr": stderr, "text": True}
        running = subprocess.Popen(
            [sys.executable, "app.py"], **pipes, env=environment(here.address, tmp_path / "home"), cwd=folder
        )
    try:
        said = running.stdout.readline()
        assert re.search(f"the Space's own page is at http://.*:{port}/", said), (tmp_path / "stderr").read_text()
    finally:
        running.terminate()
        running.wait(timeout=60)
    assert any(re.search("/me/model/resolve/.*/model.safetensors", path) for _, path, _ in here.seen)


def test_modules_of_an_earlier_space_go(model, here, monkeypatch):
    pytest.importorskip("gradio")
    planned = plan_space(plan(model, "me/model"))
    push(planned)
    here.repositories["spaces/me/model"].files |= {"exhubert/old.py": b"", "NOTES.md": b""}
    push(planned)
    files = set(here.repositories["spaces/me/model"].files)
    assert "NOTES.md" in files and "exhubert/old.py" not in files and "exhubert/app/page.py" in files
