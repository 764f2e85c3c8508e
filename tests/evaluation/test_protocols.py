"""Protocols divide as they say, and a comparison's figures are those one gets by hand."""

import json

import numpy as np
import pandas as pd
import pytest

from exhubert.emoset import build, load
from exhubert.emoset.dealing.partition import LeakageError
from exhubert.evaluation.comparison import compare_arms, cross_corpus_matrix
from exhubert.evaluation.protocols import PROTOCOLS, apply_protocol, folds, table_of

from ..conftest import TONES, load_recipe, tiny_hubert, write_tone


def small_table():
    """Two corpora of four speakers; each speaker has one utterance of classes 0 and 1; partitions as a build makes."""
    parts = {"s0": "train", "s1": "train", "s2": "validation", "s3": "test"}
    rows = [
        {"corpus": corpus, "speaker": f"{corpus}/{speaker}", "label": label, "partition": part}
        for corpus in ("a", "b")
        for speaker, part in parts.items()
        for label in (0, 1)
    ]
    return pd.DataFrame(rows)


def members(fold, table):
    return {part: set(table.iloc[rows]["speaker"]) for part, rows in fold.partitions.items()}


def test_held_out_keeps_the_partitions_of_the_build():
    [fold] = folds("held_out", small_table())
    assert {part: rows.tolist() for part, rows in fold.partitions.items()} == {
        "train": [0, 1, 2, 3, 8, 9, 10, 11],
        "validation": [4, 5, 12, 13],
        "test": [6, 7, 14, 15],
    }


def test_every_speaker_tests_and_validates_once_over_speaker_folds():
    table = small_table()
    found = [members(fold, table) for fold in folds("speaker_folds", table, number=4)]
    for part in ("validation", "test"):
        groups = [fold[part] for fold in found]
        assert set().union(*groups) == set(table["speaker"]) and sum(map(len, groups)) == 8
        assert all({name[0] for name in group} == {"a", "b"} for group in groups), "each fold has both corpora"
    assert all(len(fold["train"]) == 4 for fold in found)
    assert [fold["validation"] for fold in found] == [found[(i + 1) % 4]["test"] for i in range(4)]


def test_leave_one_speaker_out_tests_each_speaker_on_all_others():
    table = small_table()
    found = folds("leave_one_speaker_out", table)
    assert [fold.name for fold in found] == sorted(set(table["speaker"]))
    for fold in found:
        names = members(fold, table)
        assert names["test"] == {fold.name} and len(names["train"] | names["validation"]) == 7
        assert names["validation"] and not names["train"] & names["validation"]


def test_leave_one_corpus_out_tests_the_whole_corpus():
    first, second = folds("leave_one_corpus_out", small_table())
    assert (first.name, second.name) == ("a", "b")
    assert {part: rows.tolist() for part, rows in first.partitions.items()} == {
        "train": [8, 9, 10, 11, 14, 15],  # b's train and test
        "validation": [12, 13],
        "test": [0, 1, 2, 3, 4, 5, 6, 7],
    }


def test_cross_corpus_tests_its_own_test_partition_and_all_of_the_others():
    first, _ = folds("cross_corpus", small_table())
    assert {part: rows.tolist() for part, rows in first.partitions.items()} == {
        "train": [0, 1, 2, 3],
        "validation": [4, 5],
        "test": [6, 7, *range(8, 16)],
    }


def test_what_cannot_be_divided_is_said():
    table = small_table()
    unnamed = table.assign(speaker=table["speaker"].where(table["corpus"] == "a"))
    for protocol, rows, message in (
        ("speaker_folds", unnamed, "needs a speaker's name for every utterance"),
        ("speaker_folds", table, "needs 3 to 8 folds"),
        ("cross_corpus", table[table["corpus"] == "a"], "needs at least two corpora"),
        ("cross_corpus", table.assign(partition="test"), "needs utterances to train on, in fold a"),
        ("nested", table, "No protocol 'nested'; there are held_out"),
    ):
        with pytest.raises(ValueError, match=message):
            folds(protocol, rows, number=9)
    with pytest.raises(LeakageError, match="a/s0"):
        folds("held_out", table.assign(partition=["train", "test"] * 8))


@pytest.fixture(scope="module")
def two_corpora(tmp_path_factory):
    """Tones again, in two corpora of four speakers each."""
    root = tmp_path_factory.mktemp("corpora")
    for corpus in ("one", "two"):
        lines = ["file,label,speaker"]
        for speaker in range(4):
            for label, frequency in TONES.items():
                name = f"{corpus}_{speaker}_{label}.wav"
                write_tone(root / corpus / name, 0.4, frequency=frequency * (1 + 0.02 * speaker))
                lines.append(f"{name},{label},s{speaker}")
        (root / corpus / "manifest.csv").write_text("\n".join(lines) + "\n")
    build({name: root / name for name in ("one", "two")}, root / "built")
    return root / "built"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_protocol_divides_a_built_dataset(two_corpora, protocol):
    data = load(two_corpora)
    table = table_of(data)
    found = folds(protocol, table, number=3)
    divided, name = apply_protocol(data, protocol, len(found) - 1, number=3)
    assert name == found[-1].name
    ids = np.concatenate([data[part]["utterance_id"] for part in data])
    for part, rows in found[-1].partitions.items():
        assert set(divided[part]["utterance_id"]) == set(ids[rows])
    with pytest.raises(ValueError, match=f"has the folds 0 to {len(found) - 1} here"):
        apply_protocol(data, protocol, len(found), number=3)


def predictions(answers, corpus="a"):
    """Five speakers, each with one utterance of class 0 and one of class 1; `answers` in that order."""
    return pd.DataFrame(
        {
            "utterance_id": [f"{corpus}/{index}" for index in range(10)],
            "speaker": [f"{corpus}/s{index // 2}" for index in range(10)],
            "corpus": corpus,
            "label": [0, 1] * 5,
            "prediction": answers,
        }
    )


def test_a_comparison_averages_seeds_and_pairs_speakers():
    right, half = [0, 1] * 5, [0, 0] * 5
    worse = [0, 1, 0, 1, 0, 1, 0, 0, 0, 0]  # recalls 1 and 3/5
    arms = {"ours": [predictions(right), predictions(worse)], "other": [predictions(half), predictions(half)]}
    result = compare_arms(arms, ["x", "y"])
    assert result["ours"]["uar_by_seed"] == pytest.approx([1.0, 0.8]) and result["ours"]["uar"] == pytest.approx(0.9)
    assert result["other"]["uar_interval"] == (0.5, 0.5) and result["other"]["chance_uar"] == 0.5
    low, high = result["ours"]["uar_interval"]
    assert 0.74 < low < 0.9 < high <= 1.0
    assert result["other"]["difference"]["difference"] == pytest.approx(0.4)
    # exchanging the arms' answers flips each speaker's sign; all 2^5 ways are tried, 2 of them as far from 0
    assert result["other"]["difference"]["p_speakers"] == pytest.approx(2 / 32)
    with pytest.raises(ValueError, match="different utterances"):
        compare_arms({"ours": [predictions(right)], "other": [predictions(right, "b")]}, ["x", "y"])


def test_the_cross_corpus_matrix_has_a_row_for_each_training_corpus():
    both = pd.concat([predictions([0, 1] * 5, "a"), predictions([0, 0] * 5, "b")])
    matrix = cross_corpus_matrix({"a": both}, ["x", "y"])
    assert matrix.loc["a"].to_dict() == {"a": 1.0, "b": 0.5}


@pytest.mark.slow
def test_compare_trains_every_arm_on_every_fold_and_goes_on_where_it_was(two_corpora, tmp_path, capsys):
    tiny_hubert("pre_norm").save_pretrained(tmp_path / "hubert")
    for name, text in (("ours", "method: exhubert\n"), ("plain", "method: hubert\nlearning_rate: 5e-4\n")):
        (tmp_path / f"{name}.yaml").write_text(text)
    command = [str(tmp_path / "ours.yaml"), str(tmp_path / "plain.yaml"), "--data", str(two_corpora)]
    command += ["--output", str(tmp_path / "out"), "--seeds", "1", "--protocol", "cross_corpus", "--set"]
    command += [f"model={tmp_path / 'hubert'}", "max_seconds=0.4", "num_train_epochs=1", "max_steps=2"]
    compare = load_recipe("compare")
    compare.main(command)
    table = capsys.readouterr().out
    result = json.loads((tmp_path / "out" / "results.json").read_text())
    assert set(result["arms"]) >= {"ours", "plain", "log-mel statistics + logistic regression", "majority class"}
    assert "| ours | " in table and (tmp_path / "out" / "comparison.png").stat().st_size > 5000
    matrix = result["matrix"]["log-mel statistics + logistic regression"]
    assert matrix["one"]["two"] == 1.0, "trained on the second corpus, tones of the first are easy to tell"
    runs = sorted((tmp_path / "out").glob("*/seed0/fold*/run.json"))
    assert [json.loads(path.read_text())["corpora"] for path in runs] == [["one"], ["two"]] * 2
    assert not list((tmp_path / "out").rglob("*.safetensors"))
    stamps = [path.stat().st_mtime_ns for path in runs]
    (tmp_path / "out" / "table.md").unlink()
    compare.main(command)
    with pytest.raises(ValueError, match="began with max_steps 2, but now max_steps is 3"):
        compare.main([*command[:-1], "max_steps=3"])
    assert stamps == [path.stat().st_mtime_ns for path in runs] and (tmp_path / "out" / "table.md").is_file()


@pytest.mark.slow
def test_an_unseen_corpus_is_tested_whole_and_a_seen_one_never(two_corpora, tmp_path):
    tiny_hubert("pre_norm").save_pretrained(tmp_path / "hubert")
    command = ["--model", str(tmp_path / "hubert"), "--data", str(two_corpora), "--corpora", "one", "--max_steps", "1"]
    load_recipe("train").main([*command, "--output_dir", str(tmp_path / "run"), "--max_seconds", "0.4"])
    command = [
        str(tmp_path / "run"),
        "--data",
        str(two_corpora),
        "--partition",
        "all",
        "--output",
        str(tmp_path / "out"),
    ]
    evaluate = load_recipe("evaluate_model")
    evaluate.main([*command, "--corpora", "two"])
    with pytest.raises(ValueError, match="learn from the train partition"):
        evaluate.main([*command, "--corpora", "two", "--baselines"])
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["overall"]["utterances"] == 24 and {"uar_arousal", "uar_valence"} <= results["overall"].keys()
    with pytest.raises(ValueError, match="would test on what the model was trained on: one"):
        evaluate.main(command)
