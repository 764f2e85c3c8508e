"""The Space beside a model: it holds what was listed, and serves the model from that alone."""

import re
import socket
import subprocess
import sys
from importlib.metadata import version

import pytest
import yaml

from exhubert.hub.space import plan_space
from exhubert.hub.upload import plan, push

from ..conftest import load_recipe
from .conftest import environment, listed, whole


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


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
