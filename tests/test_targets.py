"""No writer overwrites or deletes what it didn't write: every command, in one table, against what is at its target."""

import argparse
import functools
import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from transformers import HubertModel

from exhubert import SIX_CLASSES, ExHuBERTForSequenceClassification
from exhubert.benchmark.parts import BenchmarkOptions
from exhubert.cli.main import main
from exhubert.cli.program import exit_code
from exhubert.demo import synthesise
from exhubert.demo.__main__ import main as demo
from exhubert.emoset import build, load
from exhubert.evaluation.evaluate_model import evaluate_model
from exhubert.export.steps import export
from exhubert.files import write_json, write_whole
from exhubert.inference import load_pipeline, predict
from exhubert.inference.annotation import annotate
from exhubert.inference.plot import plot_timeline
from exhubert.targets import TargetError, check_target, model_folder
from exhubert.training import fine_tune

from .conftest import PUBLISHED, load_recipe, save, tiny_hubert, untrained, write_tone
from .training.conftest import settings


@dataclass(frozen=True)
class Writer:
    """A command whose output can be chosen.

    Attributes:
        arguments: The command line; `{}` is the output, other names are files of the fixture `place`.
        sources: Files and folders of `place` that it reads.
        folder: Whether the output is a folder.
        holds: Whether a folder of something else may take its files, which get names that nothing else has.
        ending: Of the output's name.
        slow: Whether it takes more than about ten seconds.
    """

    arguments: str
    sources: tuple[str, ...]
    folder: bool = True
    holds: bool = False
    ending: str = ""
    slow: bool = False


def on_calls(options, **kind):
    return Writer(f"exhubert predict calls --model model {options}", ("calls", "calls/a.wav", "model"), **kind)


TRAINING = "--max_steps 1 --max_seconds 0.4 --report_to none --disable_tqdm true --logging_steps 1 --bf16 false"
UNSAVED = "--save_strategy no --eval_strategy no --load_best_model_at_end false"
WRITERS = {
    "predict table": on_calls("--output {}", folder=False),
    "predict csv": on_calls("--format csv --output {}", folder=False),
    "predict csv, resumed": on_calls("--format csv --resume --output {}", folder=False),
    "predict jsonl": on_calls("--format jsonl --timeline --output {}", folder=False),
    "predict json": on_calls("--format json --output {}", folder=False),
    "predict textgrid": on_calls("--format textgrid --output {}", holds=True),
    "predict audacity": on_calls("--format audacity --output {}", holds=True),
    "predict elan": on_calls("--format elan --output {}", holds=True),
    "predict --plot, one": Writer(
        "exhubert predict calls/a.wav --model model --plot {}", ("calls/a.wav",), folder=False, ending=".png"
    ),
    "predict --plot, several": on_calls("--plot {}", holds=True),
    "annotate": Writer("exhubert annotate calls --model model --output {}", ("calls", "model")),
    "annotate --list": Writer(
        "exhubert annotate --list lists/list.txt --model model --output {} --format parquet",
        ("lists/list.txt", "calls/a.wav", "model"),
    ),
    "build --root": Writer("exhubert emoset build --root corpora --output {}", ("corpora", "corpora/mine")),
    "build --root YAML": Writer(
        "exhubert emoset build --root lists/places.yaml --output {}", ("lists/places.yaml", "corpora/mine")
    ),
    "build --corpus": Writer(
        "exhubert emoset build --corpus mine=corpora/mine --scheme lists/scheme.yaml --output {}",
        ("corpora/mine", "lists/scheme.yaml", "elsewhere/7.wav"),
    ),
    "demo_hubert": Writer("demo_hubert --data data --output {}", ("data",)),
    "extend": Writer("extend hubert {}", ("hubert",)),
    "convert": Writer("convert published {}", ("published",)),
    "export onnx": Writer("exhubert export model {} --check calls", ("model", "calls"), slow=True),
    "export safetensors": Writer(
        "exhubert export model {} --format safetensors --fold --data data", ("model", "data")
    ),
    "train": Writer(f"train --model hubert --data data --output_dir {{}} {TRAINING} {UNSAVED}", ("hubert", "data")),
    "train, resumed": Writer(
        f"train --model hubert --data data --output_dir {{}} {TRAINING} --resume true", ("hubert", "data")
    ),
    "evaluate": Writer(
        "evaluate_model model --data data --output {} --partition train --max_seconds 1 --compare other=other",
        ("data", "other"),
    ),
    "compare": Writer(
        "compare lists/arm.yaml --data data --output {} --protocol held_out --seeds 1 --set model=hubert "
        "max_steps=1 max_seconds=0.4 save_strategy=no eval_strategy=no load_best_model_at_end=false bf16=false",
        ("lists/arm.yaml", "data", "hubert"),
        slow=True,
    ),
    "bench --json": Writer("bench data --corpus mine=corpora/mine --json {}", ("corpora/mine",), folder=False),
    "bench --keep_model": Writer("bench predict --size tiny --keep_model {}", ()),
    "demo": Writer("demo {} --languages de --speakers 1 --utterances-per-class 1", ()),
}  # fmt: skip
NAMES = sorted(WRITERS)
RELABELLED = {f"{name},": f"{SIX_CLASSES[number - 1]}," for number, name in enumerate(SIX_CLASSES)}
FOREIGN = (
    b"notes",
    b"file;label\na;b\n",
    b"file,label,speaker\na.wav,joy,a\n",
    b"file,start,end,label\na.wav,0,1,joy\n",
    b"file,start,end,label,comment\na.wav,0,1,joy,clear\n",
    b'{"file": "a.wav", "label": "joy"}\n',
    b'{"a": 1}\n',
    b"[]",
    b'[{"file": "a.wav"}]',
    b"RIFF\xff\xff\xff",
    b"\x89PNG\r\n\x1a\n a picture that names exhubert",
)


@pytest.fixture(scope="module")
def prepared(tone_dataset, hubert_folder, tmp_path_factory):
    """Everything the commands read, under short names."""
    folder = tmp_path_factory.mktemp("prepared")
    untrained(folder / "model", 0)
    model = ExHuBERTForSequenceClassification.from_pretrained(folder / "model")
    save(model, folder / "model", window_seconds=1.0)
    for name in "ab":
        write_tone(folder / "calls" / f"{name}.wav", 0.6, frequency=200.0 + 90 * ord(name))
    lines = ["file,label,speaker"]
    for index in range(6):
        write_tone(folder / "corpora" / "mine" / f"{index}.wav", frequency=150.0 + 60 * index)
        lines.append(f"{index}.wav,{SIX_CLASSES[index]},s{index % 3}")
    write_tone(folder / "elsewhere" / "7.wav", frequency=777.0)  # a manifest may lead out of its folder
    lines.append("../../elsewhere/7.wav,high_positive,s0")
    (folder / "corpora" / "mine" / "manifest.csv").write_text("\n".join(lines) + "\n")
    (folder / "lists").mkdir()
    (folder / "lists" / "list.txt").write_text("calls/a.wav\n")
    (folder / "lists" / "places.yaml").write_text("mine: ../corpora/mine\n")
    (folder / "lists" / "scheme.yaml").write_text("{}\n")
    (folder / "lists" / "arm.yaml").write_text("method: exhubert\n")
    shutil.copytree(hubert_folder, folder / "hubert")
    shutil.copytree(PUBLISHED, folder / "published")
    shutil.copytree(tone_dataset, folder / "data")
    evaluate_model(folder / "model", folder / "data", folder / "other", partition="train", max_seconds=1.0)
    return folder


@pytest.fixture
def place(prepared, tmp_path, monkeypatch):
    """A copy of what the commands read, as the working directory."""
    shutil.copytree(prepared, tmp_path / "place")
    monkeypatch.chdir(tmp_path / "place")
    return tmp_path / "place"


@functools.cache
def recipe(name):
    return load_recipe(name)


def run(writer, target):
    """The exit code of a command that writes to `target`; errors are printed as the program prints them."""
    program, *arguments = [word.format(target) for word in writer.arguments.split()]
    if program in ("exhubert", "demo"):
        return {"exhubert": main, "demo": demo}[program](arguments)
    return exit_code(lambda: recipe(program).main(arguments), program)


def content(folder):
    """Every file, folder and link below a folder, with its bytes."""
    return {
        str(path.relative_to(folder)): str(path.readlink())
        if path.is_symlink()
        else path.is_file() and path.read_bytes()
        for path in folder.rglob("*")
    }


def assert_refused(writer, target, place, capsys):
    before = content(place)
    capsys.readouterr()
    assert run(writer, target) == 1
    message = capsys.readouterr().err
    assert "Traceback" not in message and message.strip().endswith("."), message
    assert str(Path(target)) in message
    assert content(place) == before
    return message


def write_foreign(path):
    path.mkdir(parents=True)
    (path / "thesis.txt").write_text("irreplaceable")
    (path / "deep" / "x").mkdir(parents=True)
    (path / "deep" / "x" / "config.json").write_text('{"mine": 1}')


@pytest.mark.parametrize("name", NAMES)
def test_a_foreign_file_or_folder_at_the_target_stays(name, place, capsys):
    writer = WRITERS[name]
    if writer.folder:
        (place / "file").write_text("irreplaceable")
        assert "is a file" in assert_refused(writer, "file", place, capsys)
        assert_refused(writer, "file/below", place, capsys)
        write_foreign(place / "foreign")
        if not writer.holds:
            message = assert_refused(writer, "foreign", place, capsys)
            assert "wasn't written by this command, or was changed since (it holds deep, thesis.txt)" in message
        return
    (place / "folder").mkdir()
    assert_refused(writer, "folder", place, capsys) if not writer.ending else None
    for number, foreign in enumerate(FOREIGN):
        target = f"foreign{number}{writer.ending}"
        (place / target).write_bytes(foreign)
        message = assert_refused(writer, target, place, capsys)
        assert "exists and wasn't written by this command, or was changed since; nothing was written" in message


@pytest.mark.parametrize("name", NAMES)
def test_a_target_that_is_contains_or_lies_inside_a_source_is_refused_by_any_name(name, place, capsys):
    writer = WRITERS[name]
    for number, relative in enumerate(writer.sources):
        source = place / relative
        (place / f"link{number}").symlink_to(source)
        (place / f"parent{number}").symlink_to(source.parent, target_is_directory=True)
        names = [relative, str(source), f"lists/../{relative}", f"link{number}", f"parent{number}/{source.name}"]
        if source.is_file():
            os.link(source, place / f"hard{number}")
            names.append(f"hard{number}")
        for target in names:
            assert_refused(writer, target, place, capsys)
            assert_refused(writer, f"{target}/new", place, capsys)
        for target in (str(source.parent), f"parent{number}", f"lists/../{source.parent.relative_to(place)}"):
            assert_refused(writer, target, place, capsys)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if WRITERS[name].slow else ())
        for name in NAMES
        if name != "bench --json"
    ],
)
def test_a_command_writes_to_its_own_output_again(name, place, capsys):
    writer, target = WRITERS[name], f"out{WRITERS[name].ending}"
    inputs = content(place)
    assert run(writer, target) == 0, capsys.readouterr().err
    first = content(place)
    assert first.items() >= inputs.items() and len(first) > len(inputs)
    assert run(writer, target) == 0, capsys.readouterr().err
    assert content(place).keys() >= first.keys()


def test_the_benchmark_adds_to_its_own_results(place):
    write_json(place / "out.json", {"machine": {}, "parts": {}})
    (place / "out.png").write_bytes(b"the plot of an earlier version")
    options = argparse.Namespace(json=place / "out.json", model="model", data=None)
    recipe("bench").check_results(BenchmarkOptions(), options)
    (place / "out.json").unlink()
    with pytest.raises(TargetError, match="out.png exists"):
        recipe("bench").check_results(BenchmarkOptions(), options)


def test_python_refuses_what_the_commands_refuse(place):
    write_foreign(place / "foreign")
    classifier = load_pipeline("model")
    calls = {
        "build": lambda target: build({"mine": "corpora/mine"}, target),
        "export": lambda target: export("model", target),
        "annotate": lambda target: annotate(["calls/a.wav"], "model", target),
        "evaluate_model": lambda target: evaluate_model("other", "data", target, partition="train"),
        "fine_tune": lambda target: fine_tune(*settings("hubert", "data", target)),
        "synthesise": lambda target: synthesise(target, languages=["de"]),
        "plot_timeline": lambda target: plot_timeline(predict(classifier, "calls/a.wav"), "calls/a.wav", target),
    }
    sources = {"build": "corpora/mine", "export": "model", "annotate": "calls", "evaluate_model": "data",
               "fine_tune": "data", "plot_timeline": "calls/a.wav"}  # fmt: skip
    before = content(place)
    for name, call in calls.items():
        for target in ["foreign", *([sources[name]] if name in sources else [])]:
            with pytest.raises(TargetError, match="nothing was written|is a folder; give the name of a file"):
                call(target)
            assert content(place) == before, name


def test_folders_below_a_datasets_folder_that_are_not_its_own_stay(place, capsys):
    arguments = ["emoset", "build", "--corpus", "mine=corpora/mine", "--output", "out"]
    assert main(arguments) == 0
    (place / "out" / "notes.txt").write_text("beside the corpora, where nothing is written")
    (place / "out" / "others").mkdir()
    (place / "out" / "others" / "a.parquet").write_text("a table of somebody else")
    shutil.copytree(place / "out" / "mine", place / "kept")
    for foreign in ("out/mine/notes.txt", "out/mine.incomplete/a.wav", "out/mine.incomplete/parquet/a.wav"):
        (place / foreign).parent.mkdir(parents=True, exist_ok=True)
        (place / foreign).write_text("irreplaceable")
        before = content(place)
        assert main([*arguments, "--seed", "1"]) == 1
        assert "exists and wasn't written by this command" in capsys.readouterr().err and content(place) == before
        (place / foreign).unlink()
    (place / "out" / ".cache").mkdir()
    (place / "out" / ".cache" / "mine").write_text("irreplaceable")
    assert main([*arguments, "--seed", "1"]) == 0
    assert (place / "out" / ".cache" / "mine").is_file() and (place / "out" / "notes.txt").is_file()
    assert (place / "out" / "others" / "a.parquet").is_file() and set(load("out")["train"]["corpus"]) == {"mine"}
    (place / "new" / "mine").mkdir(parents=True)
    (place / "new" / "mine" / "a.wav").write_text("a corpus that has the same name")
    before = content(place)
    assert main([*arguments[:-1], "new"]) == 1 and content(place) == before
    for file, text in ((".lock", "mine"), ("summary.json", '{"mine": 1}')):
        (place / "other").mkdir(exist_ok=True)
        (place / "other" / file).write_text(text)
        before = content(place)
        assert main([*arguments[:-1], "other"]) == 1 and content(place) == before
        (place / "other" / file).unlink()


def test_an_annotation_that_was_corrected_by_hand_is_kept(place, capsys):
    command = ["predict", "calls", "--model", "model", "--format", "textgrid", "--output", "out"]
    assert main(command) == 0
    first, second = sorted((place / "out").glob("*.TextGrid"))
    original = first.read_bytes()
    first.write_bytes(original.replace(b"high_", b"low_") + b"corrected")
    corrected = first.read_bytes()
    assert main([*command, "--window_s", "0.3"]) == 1
    assert "or was changed since" in capsys.readouterr().err and first.read_bytes() == corrected
    second.unlink()
    assert main([*command, "--resume"]) == 0
    assert first.read_bytes() == corrected and second.is_file()
    first.write_bytes(original)
    assert main([*command, "--window_s", "0.3"]) == 0
    assert first.read_bytes() != original


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("csv", lambda text: re.sub(r"high_\w+,|low_\w+,", lambda label: RELABELLED[label[0]], text.split("\n", 1)[1])),
        ("csv", lambda text: text + "calls/c.wav,0.000,1.000,calm,,,,,,\n"),
        ("csv", lambda text: text + "my notes\n"),
        ("csv", lambda text: text + "\n"),
        ("csv", lambda text: "\n".join(f"{line},{'note' * (not number)}" for number, line in enumerate(text.split()))),
        ("jsonl", lambda text: text + '{"file": "mine.wav"}\n'),
        ("jsonl", lambda text: text.replace('"seconds"', '"remark": "crying", "seconds"')),
        (
            "jsonl",
            lambda text: re.sub(
                r'"label": "(\w+)"', lambda label: f'"label": "{RELABELLED[label[1] + ","][:-1]}"', text
            ),
        ),
        ("json", lambda text: text.replace('"seconds"', '"remark": "crying", "seconds"')),
        ("table", lambda text: text + "\nb.wav is angrier\n"),
    ],
)
def test_tables_that_were_corrected_by_hand_stay(kind, change, place, capsys):
    command = ["predict", "calls", "--model", "model", "--output", "out", "--format", kind]
    assert main(command) == 0
    before = (place / "out").read_text()
    # what a stopped program leaves is still its own
    (place / "out").write_text(before[:-5] if kind != "json" else before)
    assert main(command) == 0 and (place / "out").read_text() == before
    header = before.split("\n", 1)[0] + "\n" if kind == "csv" and not change(before).startswith("file,") else ""
    (place / "out").write_text(header + change(before))
    corrected = content(place)
    assert main(command) == 1
    assert "out exists and wasn't written by this command, or was changed since" in capsys.readouterr().err
    assert content(place) == corrected


def test_resuming_keeps_corrected_labels_and_refuses_rows_of_something_else(place, capsys):
    command = ["predict", "calls", "--model", "model", "--output", "out.csv", "--format", "csv", "--resume"]
    assert main(command) == 0
    (place / "out.csv").write_text((place / "out.csv").read_text().replace(",high_", ",low_"))
    corrected = (place / "out.csv").read_text()
    assert main(command) == 0 and (place / "out.csv").read_text() == corrected
    for more in ("\n", "my notes\n", "a,b\n"):
        (place / "out.csv").write_text(corrected + more)
        assert main(command) == 1
        assert "or was changed since" in capsys.readouterr().err
        assert (place / "out.csv").read_text() == corrected + more


def test_the_plots_of_all_channels_are_replaced_and_a_foreign_one_of_any_channel_stays(place, capsys):
    command = ["predict", "calls", "--model", "model", "--channels", "each", "--plot", "plots"]
    assert main(command) == 0 and main(command) == 0
    plot = next((place / "plots").glob("*-channel0.png"))
    foreign = plot.with_name(plot.name.replace("channel0", "channel13"))
    foreign.write_bytes(b"mine")
    before = content(place)
    assert main(command) == 1
    assert f"{foreign.name} exists" in capsys.readouterr().err and content(place) == before


def test_a_corpus_that_is_a_link_to_another_disk_is_replaced_here_and_stays_there(place):
    arguments = ["emoset", "build", "--corpus", "mine=corpora/mine", "--output", "out"]
    assert main(arguments) == 0
    shutil.move("out/mine", "disk")
    (place / "out" / "mine").symlink_to(place / "disk", target_is_directory=True)
    before = content(place / "disk")
    manifest = place / "corpora" / "mine" / "manifest.csv"
    manifest.write_text(manifest.read_text().replace("s0", "anna"))
    assert main(arguments) == 0
    assert content(place / "disk") == before and not (place / "out" / "mine").is_symlink()
    assert not list((place / "out").glob("*.incomplete")) and set(load("out")["train"]["corpus"]) == {"mine"}


def test_a_build_goes_on_wherever_it_was_stopped_while_it_replaced_a_corpus(place, monkeypatch):
    arguments = ["emoset", "build", "--corpus", "mine=corpora/mine", "--output", "out"]
    assert main(arguments) == 0
    manifest, stops = place / "corpora" / "mine" / "manifest.csv", 0
    text = manifest.read_text()
    rename, rmtree = Path.rename, shutil.rmtree

    class Stopped(BaseException):
        pass

    for step in range(1, 9):
        counts = iter(range(1, 99))

        def stopping(call, counts=counts, step=step):
            def counted(*values, **options):
                if str(values[0]).startswith("out") and next(counts) == step:
                    if call is rmtree:  # half done
                        next(path for path in Path(values[0]).rglob("*") if path.is_file()).unlink(missing_ok=True)
                    raise Stopped
                return call(*values, **options)

            return counted

        with monkeypatch.context() as patch:
            patch.setattr(Path, "rename", stopping(rename))
            patch.setattr(shutil, "rmtree", stopping(rmtree))
            manifest.write_text(text.replace("s0", f"speaker{step}"))
            try:
                main(arguments)
            except Stopped:
                stops += 1
        assert main(arguments) == 0, step
        speakers = {name for part in load("out").values() for name in part["speaker"]}
        assert f"mine/speaker{step}" in speakers and len(speakers) == 3
        assert not list((place / "out").glob("*.incomplete"))
    assert stops > 2


def test_tables_of_one_format_replace_each_other_but_are_not_resumed_as_another(place, capsys):
    command = ["predict", "calls", "--model", "model", "--output", "out", "--format"]
    assert main([*command, "csv"]) == 0 and main([*command, "jsonl"]) == 0
    before = content(place)
    assert main([*command, "csv", "--resume"]) == 1 and content(place) == before
    assert main(["predict", "calls/a.wav", "--model", "model", "--output", "out.png", "--plot", "out.png"]) == 1
    assert "--output and --plot are both out.png" in capsys.readouterr().err


def test_cards_that_were_edited_stay(place, capsys):
    assert main(["emoset", "stats", "data"]) == 0 and main(["emoset", "stats", "data"]) == 0
    for name in ("README.md", "statistics.csv"):
        path = place / "data" / name
        original = path.read_bytes()
        path.write_bytes(original + b"my own remark\n")
        before = content(place)
        assert main(["emoset", "stats", "data"]) == 1
        assert f"data/{name} exists and wasn't written by this command, or was changed" in capsys.readouterr().err
        assert content(place) == before
        path.write_bytes(original)
    (place / "data" / "README.md").unlink()
    (place / "data" / "plots" / "classes.png").write_bytes(b"mine")
    assert main(["emoset", "stats", "data"]) == 1
    assert (place / "data" / "plots" / "classes.png").read_bytes() == b"mine"


def test_a_models_card_of_ones_own_is_found_before_the_evaluation(place, capsys):
    (place / "model" / "README.md").write_text("# My model\n")
    before = content(place)
    command = ["model", "--data", "data", "--output", "out", "--partition", "train", "--card"]
    assert exit_code(lambda: recipe("evaluate_model").main(command), "evaluate_model") == 1
    assert "The model's card: model/README.md exists" in capsys.readouterr().err and content(place) == before


def test_an_evaluation_may_lie_inside_the_models_folder_and_nowhere_else_in_it(place, capsys):
    command = ["model", "--data", "data", "--partition", "train", "--max_seconds", "1", "--output"]
    evaluate = recipe("evaluate_model").main
    for target in ("model", ".", "model/../model"):
        before = content(place)
        assert exit_code(lambda target=target: evaluate([*command, target]), "evaluate") == 1
        assert content(place) == before
    assert exit_code(lambda: evaluate([*command, "model/evaluation"]), "evaluate") == 0
    results = place / "model" / "evaluation" / "results.json"
    results.unlink()  # as when it was stopped
    assert exit_code(lambda: evaluate([*command, "model/evaluation"]), "evaluate") == 0
    results.write_text(json.dumps({"protocol": "held_out", "folds": 1, "seeds": 1, "arms": {}}))  # of compare.py
    assert exit_code(lambda: evaluate([*command, "model/evaluation"]), "evaluate") == 1
    assert json.loads(results.read_text())["seeds"] == 1


def test_only_an_unchanged_model_of_the_same_command_is_replaced(place, capsys):
    extend = recipe("extend").main

    def refused(target):
        before = content(place)
        code = exit_code(lambda: extend(["hubert", target]), "extend")
        assert content(place) == before
        return code == 1

    extend(["hubert", "out"])
    extend(["hubert", "out", "--labels", "calm", "angry"])
    model = ExHuBERTForSequenceClassification.from_pretrained("out")
    assert model.config.id2label == {0: "calm", 1: "angry"}
    with torch.no_grad():
        model.classifier.weight.add_(1.0)
    model.save_pretrained("out")  # trained further, as it were
    assert refused("out")
    assert refused("model"), "an ExHuBERT of somebody else"
    (place / "out2").mkdir()
    shutil.copy(place / "out" / "config.json", place / "out2" / "config.json")
    assert refused("out2")


def test_a_model_from_before_there_was_a_record_is_replaced_by_the_same_weights_only(place):
    files = {"model.safetensors": b"weights", "config.json": b"{}"}

    def write(content):
        with model_folder("out") as folder:
            for name, data in content.items():
                (folder / name).write_bytes(data)

    (place / "out").mkdir()
    for name, data in files.items():
        (place / "out" / name).write_bytes(data)
    with pytest.raises(TargetError, match="config.json exists"):
        write(files | {"model.safetensors": b"others"})
    assert {path.name: path.read_bytes() for path in (place / "out").iterdir()} == files
    write(files | {"config.json": b'{"new": 1}'})
    write({"model-00001-of-00001.safetensors": b"shard"})
    assert {path.name for path in (place / "out").iterdir() if path.name[0] != "."} == {
        "model-00001-of-00001.safetensors"
    }


def test_a_model_that_fails_to_be_written_leaves_what_was_there(place):
    with pytest.raises(OSError, match="full"), model_folder("new"):
        raise OSError("the disk is full")
    assert not (place / "new").exists()
    recipe("convert").main(["published", "out"])
    before = content(place)
    with pytest.raises(OSError, match="full"), model_folder("out") as folder:
        (folder / "config.json").write_text("{}")
        raise OSError("the disk is full")
    assert content(place) == before


def test_a_folder_of_a_trained_model_or_with_other_checkpoints_is_no_place_to_train(place, capsys):
    train = recipe("train").main
    arguments = ["--model", "hubert", "--data", "data", *TRAINING.split(), *UNSAVED.split(), "--output_dir"]
    (place / "foreign" / "checkpoint-5").mkdir(parents=True)
    (place / "foreign" / "checkpoint-5" / "trainer_state.json").write_text("{}")
    for target in ("model", "foreign"):
        for more in ([], ["--resume", "true"]):
            before = content(place)
            assert exit_code(lambda target=target, more=more: train([*arguments, target, *more]), "train") == 1
            assert content(place) == before
    (place / "empty").mkdir()
    train([*arguments, "empty", "--dry_run", "true"])
    assert (place / "empty").is_dir(), "it was there before"
    (place / "logged").mkdir()
    (place / "logged" / "train.log").write_text("opened by the shell")
    train([*arguments, "logged"])
    assert (place / "logged" / "train.log").read_text() == "opened by the shell"


def test_code_beside_a_saved_model_does_not_replace_a_file_of_the_same_name(place):
    model = ExHuBERTForSequenceClassification.from_hubert(tiny_hubert("pre_norm", HubertModel), list(SIX_CLASSES))
    (place / "project").mkdir()
    (place / "project" / "audio.py").write_text("mine = True\n")
    with pytest.raises(ValueError, match="audio.py exists and isn't the code of this model"):
        model.save_pretrained("project")
    assert [path.name for path in (place / "project").iterdir()] == ["audio.py"]
    (place / "model" / "audio.py").write_text("# of an earlier version\n")
    model.save_pretrained("model")
    assert "earlier" not in (place / "model" / "audio.py").read_text()


def test_temporary_neighbours_are_files_that_did_not_exist(place):
    for name in ("out.json.incomplete", "out.incomplete"):
        (place / name).write_text("irreplaceable")
    assert main(["predict", "calls", "--model", "model", "--format", "json", "--output", "out.json"]) == 0
    write_whole(place / "out", "text")
    assert {(place / name).read_text() for name in ("out.json.incomplete", "out.incomplete")} == {"irreplaceable"}
    with pytest.raises(UnicodeEncodeError):
        write_whole(place / "out", "\udcff")
    assert (place / "out").read_text() == "text" and not list(place.glob(".exhubert*"))


def test_a_demo_corpus_is_not_made_among_other_things_and_its_edited_manifest_stays(place, capsys):
    write_foreign(place / "out" / "de.incomplete")
    (place / "out" / "corpus.json").write_text(json.dumps({"synthetic": True, "settings": {}, "engine": {}}))
    before = content(place)
    assert demo(["out", "--languages", "de"]) == 1 and content(place) == before
    shutil.rmtree(place / "out" / "de.incomplete")
    (place / "out" / "manifest.csv").write_text("file,label\nmine.wav,joy\n")
    before = content(place)
    assert demo(["out", "--languages", "de"]) == 1
    assert "manifest.csv exists" in capsys.readouterr().err and content(place) == before


def test_pipes_and_terminals_are_written_to_and_links_that_lead_nowhere_are_not(place):
    assert main(["predict", "calls", "--model", "model", "--format", "jsonl", "--output", os.devnull]) == 0
    (place / "link").symlink_to("nowhere")
    with pytest.raises(TargetError, match="exists"):
        check_target("--output", "link", own=lambda path: False)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_place_is_found_before_any_work(place, capsys):
    (place / "fixed").mkdir(mode=0o555)
    assert main(["predict", "calls", "--model", "nowhere", "--format", "csv", "--output", "fixed/out.csv"]) == 1
    assert "fixed is read-only" in capsys.readouterr().err
