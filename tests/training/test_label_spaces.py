"""Heads for several label spaces are trained from one built folder by one option, evaluated and carded."""

import json
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from exhubert import SIX_CLASSES
from exhubert.cli.info import describe
from exhubert.conversion.loading import load_classifier
from exhubert.emoset import build
from exhubert.emoset.dataset import load_labelled
from exhubert.inference import load_pipeline, predict
from exhubert.records import Settings
from exhubert.training import DataArguments, ModelArguments, fine_tune, load_for_training

from ..conftest import PUBLISHED, evaluate, load_recipe, opened, save, untrained, write_tone
from .conftest import settings

WORDS = ("angry", "joy", "happy", "neutral", "sad", "afraid", "sung")
SPACES = {
    "six": list(SIX_CLASSES),
    "native": ["anger", "fear", "happiness", "neutral", "sadness", "sung"],
    "four": ["anger", "happiness", "neutral", "sadness"],
    "arousal": ["low", "high"],
    "map": ["tense", "at ease"],
}
UTTERANCES = {"six": 30, "native": 35, "four": 25, "arousal": 30, "map": 25}


@pytest.fixture(scope="module")
def emotions(tmp_path_factory):
    """A built dataset of five speakers with emotion words as labels, one of them no emotion."""
    root = tmp_path_factory.mktemp("emotions")
    lines = ["file,label,speaker"]
    for speaker in range(5):
        for index, word in enumerate(WORDS):
            write_tone(root / f"own/{speaker}{word}.wav", 0.4, frequency=150.0 + 90 * index + 7 * speaker)
            lines.append(f"{speaker}{word}.wav,{word},s{speaker}")
    (root / "own/manifest.csv").write_text("\n".join(lines) + "\n")
    (root / "map.yaml").write_text(
        "classes: [tense, at ease]\n'*': {anger: tense, fear: tense, joy: at ease, sad: at ease}\n"
    )
    build({"own": root / "own"}, root / "built")
    return root


def option(emotions: Path, space: str) -> str:
    return str(emotions / "map.yaml") if space == "map" else space


@pytest.mark.parametrize("space", SPACES)
def test_a_head_is_trained_evaluated_and_carded_by_one_option(emotions, hubert_folder, tmp_path, space):
    data = emotions / "built"
    before = {path: path.stat().st_mtime_ns for path in data.rglob("*")}
    labels = option(emotions, space)
    arguments = settings(hubert_folder, data, tmp_path / "run", data={"labels": labels}, max_steps=1)
    run = fine_tune(*arguments)
    names = SPACES[space]
    assert run.labels["classes"] == names and sum(run.labels["utterances"].values()) == UTTERANCES[space]
    assert list(load_classifier(tmp_path / "run").config.id2label.values()) == names
    results = evaluate(tmp_path / "run", data, tmp_path / "results", "--baselines", "--calibrate", "--card")
    assert results["class_names"] == names and results["labels"] == run.labels
    assert len(results["overall"]["confusion_matrix"]) == len(names)
    assert {"majority class", "log-mel statistics + logistic regression"} <= set(results["baselines"])
    assert ("uar_arousal" in results["overall"]) == (space == "six") and results["ratings"] is None
    card = ModelCard.load(tmp_path / "run" / "README.md").text
    assert f"{len(names)} classes ({', '.join(names)})" in card
    assert f"Label space `{'map.yaml' if space == 'map' else space}`:" in card
    assert ("six classes of arousal and valence" in card) == (space == "six")
    if left_out := run.labels["left_out"]:
        assert f"{sum(left_out.values())} of 35 utterances have no class" in card and "sung (5)" in card
    assert f"label space     {run.labels['space']}\n" in describe(tmp_path / "run")
    assert f"temperature     {results['temperature']:.3f}\n" in describe(tmp_path / "run")
    prediction = predict(load_pipeline(tmp_path / "run"), write_tone(tmp_path / "call.wav", 1.0))
    assert list(prediction.scores) == names and (prediction.arousal is not None) == (space == "six")
    assert before == {path: path.stat().st_mtime_ns for path in before}, "nothing was built again"


def test_models_of_other_spaces_are_neither_compared_nor_evaluated_in_a_wrong_one(emotions, tmp_path):
    data = emotions / "built"
    six = untrained(tmp_path / "six", 0)
    evaluate(six, data, tmp_path / "first")
    four = save(opened("pre_norm", labels=SPACES["four"]), tmp_path / "four")
    results = evaluate(four, data, tmp_path / "second")
    assert results["labels"]["space"] == "four", "the space is known by its classes where no training is recorded"
    with pytest.raises(
        ValueError, match=r"other .*has the classes low_negative, .* this model has anger, .*same label"
    ):
        evaluate(four, data, tmp_path / "third", "--compare", f"other={tmp_path / 'first'}")
    with pytest.raises(ValueError, match=r"arousal has the classes low, high, not anger, .*`--labels`"):
        evaluate(four, data, tmp_path / "third", "--labels", "arousal")
    strange = save(opened("pre_norm", labels=["neu", "hap", "ang"]), tmp_path / "strange")
    with pytest.raises(ValueError, match=r"has the classes neu, hap, ang, which no label space has.*`--labels`"):
        evaluate(strange, data, tmp_path / "third")
    words = save(opened("pre_norm", labels=["Happy", "Angry"]), tmp_path / "words")
    counts = evaluate(words, data, tmp_path / "words results", "--partition", "train")["overall"]["confusion_matrix"]
    assert [sum(row) for row in counts] == [6, 3], "three speakers were angry once, happy twice"


def test_a_head_for_as_many_other_classes_is_drawn_anew_and_said(emotions, hubert_folder, tmp_path, caplog):
    model = untrained(tmp_path / "model", 0)
    before = load_classifier(model).classifier.weight
    same, _ = load_for_training(ModelArguments(model=str(model)), list(SIX_CLASSES))
    assert (same.classifier.weight == before).all()
    other, _ = load_for_training(ModelArguments(model=str(model)), SPACES["native"])
    assert not (other.classifier.weight == before).any() and other.config.id2label[5] == "sung"
    published, _ = load_for_training(ModelArguments(model=str(PUBLISHED)), SPACES["four"])
    assert published.classifier.out_features == published.config.num_labels == 4
    assert "has a head for low_negative, " in caplog.text and "a new one is drawn for anger, fear" in caplog.text


def test_a_run_goes_on_with_its_own_label_space_only(emotions, hubert_folder, tmp_path):
    def arguments(labels, **options):
        options = {"max_steps": 2, "save_strategy": "steps", "save_steps": 1, "eval_strategy": "steps"} | options
        return settings(
            hubert_folder, emotions / "built", tmp_path / "run", data={"labels": str(labels)}, eval_steps=1, **options
        )

    path = tmp_path / "mine.yaml"
    path.write_text("'*': {anger: bad, joy: good}\n")
    fine_tune(*arguments(path))
    with pytest.raises(ValueError, match="began with labels .*bad.* but now labels is 'arousal'"):
        fine_tune(*arguments("arousal", resume=True))
    path.write_text("'*': {anger: bad, sad: good}\n")
    with pytest.raises(ValueError, match="began with labels "):
        fine_tune(*arguments(path, resume=True))
    path.unlink()
    results = evaluate(tmp_path / "run", emotions / "built", tmp_path / "results")
    assert results["class_names"] == ["bad", "good"], "the run keeps the map"


def test_a_run_of_an_earlier_version_began_with_the_six_classes(emotions, hubert_folder, tmp_path):
    def arguments(**options):
        options = {"max_steps": 2, "save_strategy": "steps", "save_steps": 1, "eval_strategy": "steps"} | options
        return settings(hubert_folder, emotions / "built", tmp_path / "run", eval_steps=1, **options)

    fine_tune(*arguments())
    path = tmp_path / "run" / "settings.json"
    values = Settings.load(path).values
    old = {name: value for name, value in values["data"].items() if name not in ("labels", "classes")}
    path.write_text(json.dumps({**values, "data": old}))
    fine_tune(*arguments(resume=True))
    with pytest.raises(ValueError, match="began with labels 'six', but now labels is 'native'"):
        fine_tune(*arguments(resume=True, data={"labels": "native"}))


def test_a_mistyped_label_space_is_refused_before_anything_is_read():
    with pytest.raises(ValueError, match="No label space 'arousel'.*Did you mean arousal"):
        DataArguments(labels="arousel")


def test_native_classes_of_training_are_those_of_the_corpora_and_languages_chosen(emotions):
    _, chosen = load_labelled(emotions / "built", languages=["und"], labels="native")
    assert chosen.classes == SPACES["native"]


def test_a_partition_without_a_class_of_the_space_is_said_with_the_space(hubert_folder, tmp_path):
    lines = ["file,label,speaker,partition"]
    for speaker, part, words in (("a", "train", "joy anger"), ("b", "validation", "fear"), ("c", "test", "joy anger")):
        for word in words.split():
            write_tone(tmp_path / f"own/{speaker}{word}.wav", 0.4)
            lines.append(f"{speaker}{word}.wav,{word},{speaker},{part}")
    (tmp_path / "own/manifest.csv").write_text("\n".join(lines) + "\n")
    build({"own": tmp_path / "own"}, tmp_path / "built")
    arguments = settings(hubert_folder, tmp_path / "built", tmp_path / "run", data={"labels": "four"})
    with pytest.raises(ValueError, match="has train, test with classes of the label space four, but training needs"):
        fine_tune(*arguments)


@pytest.mark.slow
def test_arms_are_compared_in_one_label_space_and_those_of_earlier_versions_go_on(emotions, hubert_folder, tmp_path):
    (tmp_path / "ours.yaml").write_text("method: exhubert\n")
    (tmp_path / "other.yaml").write_text("method: hubert\nlabels: native\n")

    def compare(output, *labels, configs=("ours.yaml",)):
        command = [*(str(tmp_path / name) for name in configs), "--data", str(emotions / "built"), "--seeds", "1"]
        command += ["--output", str(tmp_path / output), "--protocol", "held_out", "--set", f"model={hubert_folder}"]
        load_recipe("compare").main([*command, "max_seconds=0.4", "max_steps=1", *labels])
        return json.loads((tmp_path / output / "results.json").read_text())

    assert compare("arousal", "labels=arousal")["classes"] == ["low", "high"]
    with pytest.raises(ValueError, match="different `corpora`, `languages` or `labels`"):
        compare("both", configs=("ours.yaml", "other.yaml"))
    compare("six")
    path = tmp_path / "six" / "ours" / "settings.json"
    values = Settings.load(path).values
    del values["arm"][1]["labels"]
    path.write_text(json.dumps(values))
    compare("six")
    path.write_text(json.dumps(values))
    with pytest.raises(ValueError, match="began with labels 'six', but now labels is 'native'"):
        compare("six", "labels=native")
