"""Every command of the guide to protocols runs, on tones under EMO-DB's names; its pieces of YAML are protocols."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from transformers import HubertModel

from exhubert.emoset import build
from exhubert.emoset.protocols.protocol_file import read_protocol

from .conftest import load_recipe, tiny_hubert, write_tone

RECIPES = Path(__file__).parents[1] / "recipes"
GUIDE = (RECIPES / "protocols" / "README.md").read_text(encoding="utf-8")
SPEAKERS = ("03", "08", "09", "10", "11", "12", "13", "14", "15", "16")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", GUIDE, flags=re.DOTALL)


def fold_lists(folder, stems):
    """Lists as in a clone of EmoBox: every second utterance of each speaker tests."""
    for part, own in (("train", stems[::2]), ("test", stems[1::2])):
        path = folder / "fold_1" / f"emodb_{part}_fold_1.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [{"key": f"emodb-{name}", "dataset": "emodb", "wav": f"downloads/emodb/wav/{name}.wav"} for name in own]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder in which the guide's relative names exist."""
    folder = tmp_path_factory.mktemp("guide")
    shutil.copytree(RECIPES, folder / "recipes")
    shutil.copytree(RECIPES.parent / "model_card", folder / "model_card")
    stems = [f"{speaker}a01{emotion}a" for speaker in SPEAKERS for emotion in "WLEAFTN"]
    for number, stem in enumerate(stems):
        write_tone(folder / "emo_db" / "wav" / f"{stem}.wav", 0.4, frequency=150.0 + 11 * number)
    build({"emo_db": folder / "emo_db"}, folder / "data" / "emoset")
    fold_lists(folder / "EmoBox" / "data" / "emodb", stems)
    tiny_hubert("post_norm", HubertModel).save_pretrained(folder / "hubert")
    load_recipe("extend").main([str(folder / "hubert"), str(folder / "models" / "extended")])
    return folder


@pytest.mark.slow
def test_the_commands_of_the_guide_run_in_order(workplace):
    scripts = Path(sys.executable).parent
    environment = os.environ | {"PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}
    printed = []
    for command in (line for block in blocks("bash") for line in block.splitlines()):
        done = subprocess.run(
            ["bash", "-c", command], cwd=workplace, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        printed.append(done.stdout)
    assert len(printed) == 7 and "pair 5" in printed[1] and "NOT speaker-independent" not in printed[3]
    sentence = "NOT speaker-independent: 10 speakers are in train and test"
    assert all(sentence in text for text in printed[4:]), "shown before training, in training and in the results"
    assert sentence in (workplace / "runs/emobox/README.md").read_text()
    tested = json.loads((workplace / "runs/pairs/evaluation/results.json").read_text())
    assert sorted(tested["by_speaker"]) == ["emo_db/09", "emo_db/10"], "fold 1 is the second pair"


def test_the_guides_pieces_of_yaml_are_folds(tmp_path):
    fold_lists(tmp_path, ["a", "b"])
    head = {"name": "own", "source": "own", "corpora": "any", "keeps_apart": "nothing"}
    assert len(blocks("yaml")) == 3
    for block in blocks("yaml"):
        (tmp_path / "own.yaml").write_text(yaml.safe_dump(head) + block)
        assert read_protocol(tmp_path / "own.yaml").folds


@pytest.mark.slow
def test_compare_says_that_a_protocol_shares_speakers(workplace, tmp_path):
    (tmp_path / "ours.yaml").write_text("method: exhubert\n")
    command = [str(tmp_path / "ours.yaml"), "--data", str(workplace / "data/emoset"), "--output", str(tmp_path / "out")]
    command += ["--protocol", str(workplace / "recipes/protocols/emobox_emo_db.yaml"), "--seeds", "1", "--allow_leak"]
    command += ["--set", f"model={workplace / 'models/extended'}", "max_seconds=0.4", "max_steps=1", "bf16=false"]
    compare = load_recipe("compare")
    compare.main(command)
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["protocol"] == "emobox_emo_db" and results["shared_speakers"]["fold 1"]["train and test"] == 10
    sentence = "NOT speaker-independent: 10 speakers are in train and test"
    assert sentence in (tmp_path / "out" / "table.md").read_text()
    with pytest.raises(ValueError, match=sentence):
        compare.main([word for word in command if word != "--allow_leak"])
