"""Every command and snippet of the README and the guide to corpora that isn't a make target runs, on stand-ins."""

import os
import re
import shlex
import subprocess
import sys
from itertools import product
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from transformers import HubertModel

from exhubert.cli.main import main
from exhubert.emoset import entry, load

from .conftest import PUBLISHED, TONES, tiny_hubert, write_tone

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
GUIDE = (ROOT / "src/exhubert/emoset/README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README + GUIDE, flags=re.DOTALL)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder in which the README's relative names exist: hub ids are folders, corpora are tones."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "recipes").symlink_to(ROOT / "recipes")
    (folder / "amiriparian").mkdir()
    (folder / "amiriparian" / "ExHuBERT").symlink_to(PUBLISHED)
    tiny_hubert("post_norm", HubertModel).save_pretrained(folder / "facebook" / "hubert-base-ls960")
    write_tone(folder / "speech.wav", 1.2, 44_100, channels=2)
    write_tone(folder / "interview.flac", 7.0)
    call = write_tone(folder / "recordings" / "call.wav", 4.0)
    (folder / "call.pcm").write_bytes(call.read_bytes()[44:])
    samples, rate = soundfile.read(write_tone(folder / "call.wav", 4.0, 8_000, channels=2))
    soundfile.write(folder / "call.ulaw", samples, rate, format="RAW", subtype="ULAW")
    lines = ["file,label,speaker"]
    for speaker in range(5):
        for pitch, emotion in enumerate("WLEAFTN"):
            name = f"{speaker + 11:02d}a01{emotion}a.wav"
            write_tone(folder / "corpora/emo_db/wav" / name, frequency=120.0 + 17 * speaker + 90 * pitch)
        for label, frequency in TONES.items():
            write_tone(folder / "corpora/mine" / f"{speaker}{label}.wav", frequency=frequency + 13 * speaker)
            lines.append(f"{speaker}{label}.wav,{label},{speaker}")
    (folder / "corpora/mine/manifest.csv").write_text("\n".join(lines) + "\n")
    lines = ["clip,affect,who"]
    for speaker, label in product(("f1", "f2", "m1", "m2"), ("joy", "anger", "sadness")):
        pitch = 100.0 + 13 * len(lines)
        write_tone(folder / "plays" / speaker / f"{label}_01.wav", frequency=pitch)
        write_tone(folder / "calls" / f"{len(lines)}.wav", frequency=1000.0 + pitch)
        lines.append(f"{len(lines)}.wav,{label},{speaker}")
    (folder / "calls/manifest.csv").write_text("\n".join(lines) + "\n")
    rows = [
        {"audio": {"bytes": path.read_bytes(), "path": path.name}, "emotion": "joy", "speaker_id": path.name[0]}
        for path in sorted((folder / "corpora/mine").glob("*.wav"))
    ]
    (folder / "downloads/speech-emotions").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / "downloads/speech-emotions/train.parquet")
    write_database(folder / "databases/talks")
    write_data_folders(folder / "kaldi/calls")
    return folder


def write_database(root):
    """An audformat database, written by hand."""
    files = ["file,emotion,speaker"]
    for index, emotion in enumerate(("anger", "joy", "sadness") * 2):
        write_tone(root / f"{index}.wav", frequency=100.0 + 60 * index)
        files.append(f"{index}.wav,{emotion},{index // 2}")
    columns = "columns: {emotion: {scheme_id: emotion}, speaker: {scheme_id: speaker}}"
    schemes = "schemes: {emotion: {dtype: str}, speaker: {dtype: str}}"
    header = [
        "name: talks",
        "source: made up",
        "usage: research",
        schemes,
        f"tables: {{emotion: {{type: filewise, {columns}}}}}",
    ]
    (root / "db.yaml").write_text("\n".join(header) + "\n")
    (root / "db.emotion.csv").write_text("\n".join(files) + "\n")


def write_data_folders(root):
    """Data folders of Kaldi, one for each partition."""
    for speaker, part in enumerate(("train", "dev", "test")):
        data = root / "data" / part
        write_tone(root / "wav" / f"{part}.wav", 2.0, frequency=100.0 + 60 * speaker)
        data.mkdir(parents=True)
        (data / "wav.scp").write_text(f"rec-{part} wav/{part}.wav\n")
        (data / "segments").write_text(f"{part}1 rec-{part} 0 1\n{part}2 rec-{part} 1 -1\n")
        (data / "utt2emo").write_text(f"{part}1 anger\n{part}2 joy\n")
        (data / "utt2spk").write_text(f"{part}1 s{speaker}\n{part}2 s{speaker}\n")


def test_the_commands_for_corpora_of_ones_own_run_and_the_yaml_is_valid(workplace, monkeypatch, tmp_path):
    section = GUIDE.partition("## Corpora of your own")[2].partition("\n##")[0]
    for name in ("plays", "calls"):
        (tmp_path / name).symlink_to(workplace / name)
    monkeypatch.chdir(tmp_path)
    for command in re.findall(r"^exhubert (.*)$", section, flags=re.MULTILINE):
        assert main(shlex.split(command)) == 0, command
    for corpus in ("plays", "calls"):
        rows = [row for part in load(Path("data") / corpus).values() for row in part]
        assert {row["speaker"] for row in rows} == {f"{corpus}/{speaker}" for speaker in ("f1", "f2", "m1", "m2")}
        assert {row["raw_label"] for row in rows} == {"joy", "anger", "sadness"}
    (content,) = re.findall(r"```yaml\n(.*?)```", section, flags=re.DOTALL)
    Path("catalog/example.yaml").write_text(content)
    facts = entry("example", "catalog")
    assert [facts.class_of(label) for label in ("wut", "ruhe", "glee", "lachen")] == [
        "high_negative",
        "low_neutral",
        "high_positive",
        None,
    ]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_readme_commands_and_snippets_run_in_order(workplace):
    commands = [line for block in blocks("bash") for line in block.splitlines() if line.strip()]
    assert len(commands) >= 7
    scripts = Path(sys.executable).parent
    environment = os.environ | {"PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}
    for command in commands:
        done = subprocess.run(
            ["bash", "-c", command], cwd=workplace, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    code = "\n".join(blocks("python"))
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=workplace, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "IdentityReport(hidden_states=0.0, logits=0.0, logit_tolerance=0.0)" in done.stdout.splitlines()


def test_every_make_target_of_the_readme_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    named = set(re.findall(r"`make ([a-z-]+)|^make ([a-z-]+)", README, flags=re.MULTILINE))
    named = {name for pair in named for name in pair if name}
    assert named and named <= targets


def test_files_and_headings_that_are_linked_to_exist():
    for path in (ROOT / "README.md", ROOT / "src/exhubert/emoset/README.md"):
        text = path.read_text(encoding="utf-8")
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
            assert (path.parent / target).exists(), target
        headings = {
            re.sub(r"[^a-z -]", "", line.lower()).replace(" ", "-") for line in re.findall("^##+ (.*)$", text, re.M)
        }
        assert headings.issuperset(re.findall(r"\]\(#([^)]+)\)", text))


def test_what_goes_wrong_is_what_the_package_prints():
    lines = GUIDE.partition("## What goes wrong")[2].partition("\n\n|")[2].splitlines()[2:]
    code = " ".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))
    code = re.sub(r"\"\s*f?\"", "", code)  # sentences are divided into lines
    messages = [match[1] for line in lines if (match := re.match(r"\| `([^`]+)`", line))]
    assert len(messages) >= 5
    for message in messages:
        assert message in code, message
