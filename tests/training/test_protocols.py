"""Training under protocols of files, and evaluation in the same fold: what leaks is said, what changed is noticed."""

import json
import shutil

import pytest

from exhubert.emoset.dealing.partition import LeakageError
from exhubert.training import DataArguments, fine_tune

from ..conftest import RUN, TONES, evaluate, untrained
from .conftest import settings


@pytest.fixture(scope="module")
def leaky(hubert_folder, tone_dataset, tmp_path_factory):
    """A folder with a protocol whose lists share all five speakers, and a model that the recipe trained under it."""
    folder = tmp_path_factory.mktemp("leaky")
    for part, take in (("train", 0), ("test", 1)):
        names = [f"{speaker}_{label}_{take}.wav\n" for speaker in range(5) for label in TONES]
        (folder / f"{part}.txt").write_text("".join(names))
    (folder / "takes.yaml").write_text(
        "name: takes\nsource: own\ncorpora: [own]\nkeeps_apart: nothing\n"
        "folds: {lists: '{partition}.txt', validation: {share: 0.2, by: speaker}}\n"
    )
    model_args, data_args, args = settings(
        hubert_folder,
        tone_dataset,
        folder / "model",
        data={"protocol": str(folder / "takes.yaml"), "allow_leak": True},
    )
    return folder, fine_tune(model_args, data_args, args)


def test_a_protocol_that_shares_speakers_trains_only_if_that_is_allowed_and_is_recorded(
    leaky, hubert_folder, tone_dataset, tmp_path
):
    folder, run = leaky
    data = {"protocol": str(folder / "takes.yaml")}
    with pytest.raises(LeakageError, match="takes, fold lists: NOT speaker-independent: 4 speakers are"):
        fine_tune(*settings(hubert_folder, tone_dataset, tmp_path / "run", data=data))
    record = json.loads((folder / "model" / "run.json").read_text())
    assert record["shared_speakers"] == run.shared_speakers == {"train and test": 4, "validation and test": 1}
    assert record["protocol"]["name"] == "takes" and record["protocol"]["keeps_apart"] == []
    assert len(record["invariants"]["DisjointSpeakersCallback"]["divided"]) == 5
    with pytest.raises(ValueError, match="No protocol 'take'"):
        DataArguments(protocol="take")


def test_results_and_card_of_such_a_model_say_so(leaky, tone_dataset, tmp_path, capsys):
    folder, _ = leaky
    with pytest.raises(LeakageError, match="give --allow_leak"):
        evaluate(folder / "model", tone_dataset, tmp_path / "out")
    results = evaluate(folder / "model", tone_dataset, tmp_path / "out", "--allow_leak", "--card")
    leak = "NOT speaker-independent: 4 speakers are in train and test, 1 speaker is in validation and test"
    assert f"{leak}.\n" in capsys.readouterr().out
    assert results["shared_speakers"] == {"train and test": 4, "validation and test": 1}
    assert not results["speaker_independent"] and results["protocol"]["fold"] == "lists"
    assert results["overall"]["utterances"] == 30, "the list's utterances are tested"
    card = (folder / "model" / "README.md").read_text()
    assert card.count(leak) == 2 and "held-out speakers" not in card and "on known speakers" in card
    assert "by the protocol" in card and "by speaker |" not in card
    assert "fold" not in card or str(folder) not in card


def test_a_changed_or_missing_protocol_is_noticed(leaky, tone_dataset, tmp_path):
    folder, _ = leaky
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for name in ("takes.yaml", "train.txt", "test.txt"):
        shutil.copy(folder / name, moved / name)
    record = json.loads((folder / "model" / "run.json").read_text())
    shutil.copytree(folder / "model", tmp_path / "model")
    record["data"]["protocol"] = str(tmp_path / "gone.yaml")
    (tmp_path / "model" / "run.json").write_text(json.dumps(record))
    with pytest.raises(ValueError, match="under protocol takes: .*gone.yaml: there is no .* Give its file with --p"):
        evaluate(tmp_path / "model", tone_dataset, tmp_path / "out", "--allow_leak")
    evaluate(tmp_path / "model", tone_dataset, tmp_path / "out", "--allow_leak", "--protocol", moved / "takes.yaml")
    (moved / "test.txt").write_text("0_low_neutral_1.wav\n")
    with pytest.raises(ValueError, match="isn't the protocol takes that the model was trained under"):
        evaluate(tmp_path / "model", tone_dataset, tmp_path / "out", "--allow_leak", "--protocol", moved / "takes.yaml")


def test_a_model_without_a_record_is_tested_in_the_fold_that_is_named(tone_dataset, tmp_path):
    (tmp_path / "one.yaml").write_text(
        "name: one\nsource: own\ncorpora: [own]\nkeeps_apart: speaker\nfolds: {leave_out: speaker, validation: next}\n"
    )
    model = untrained(tmp_path / "model", 0)
    options = ("--protocol", tmp_path / "one.yaml", "--fold", 2)
    results = evaluate(model, tone_dataset, tmp_path / "out", *options)
    assert list(results["by_speaker"]) == ["own/s2"] and results["speaker_independent"]
    with pytest.raises(ValueError, match="fold is 5, but protocol .*one.yaml has the folds 0 to 4"):
        evaluate(model, tone_dataset, tmp_path / "out", *options[:2], "--fold", 5)
    known = untrained(tmp_path / "known", 0, RUN)
    with pytest.raises(ValueError, match="--protocol .* can't be used: the model was trained under protocol held_out"):
        evaluate(known, tone_dataset, tmp_path / "out", *options)


def test_speakers_shared_with_validation_only_leave_the_test_figures_independent(
    hubert_folder, tone_dataset, tmp_path, capsys
):
    (tmp_path / "own.yaml").write_text(
        "name: own\nsource: own\ncorpora: [own]\nkeeps_apart: nothing\n"
        "folds: {leave_out: speaker, validation: {share: 0.2, by: utterance}}\n"
    )
    data = {"protocol": str(tmp_path / "own.yaml"), "allow_leak": True}
    run = fine_tune(*settings(hubert_folder, tone_dataset, tmp_path / "model", data=data))
    [(pair, count)] = run.shared_speakers.items()
    assert pair == "train and validation" and count > 1
    results = evaluate(tmp_path / "model", tone_dataset, tmp_path / "out", "--allow_leak", "--card")
    sentence = f"validation is NOT speaker-independent: {count} speakers are in train and validation"
    assert results["speaker_independent"] and f"{sentence}.\n" in capsys.readouterr().out
    card = (tmp_path / "model" / "README.md").read_text()
    assert sentence in card and "on held-out speakers" in card and "known speakers" not in card


def test_a_run_resumes_only_under_the_same_protocol(hubert_folder, tone_dataset, tmp_path):
    text = (
        "name: own\nsource: own\ncorpora: [own]\nkeeps_apart: speaker\nfolds: {leave_out: speaker, validation: next}\n"
    )
    for name in ("one", "moved"):
        (tmp_path / f"{name}.yaml").write_text(text)

    def start(name, **training):
        arguments = settings(
            hubert_folder, tone_dataset, tmp_path / "run", data={"protocol": str(tmp_path / name)}, **training
        )
        return fine_tune(*arguments)

    start("one.yaml", save_strategy="steps", save_steps=1, eval_strategy="steps", eval_steps=1)
    assert start("moved.yaml", save_strategy="steps", save_steps=1, eval_strategy="steps", eval_steps=1, resume=True)
    (tmp_path / "one.yaml").write_text(text.replace("next", "{share: 0.5, by: speaker}"))
    with pytest.raises(ValueError, match="began with protocol_sha256 "):
        start("one.yaml", save_strategy="steps", save_steps=1, eval_strategy="steps", eval_steps=1, resume=True)
