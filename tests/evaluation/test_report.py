"""Breakdowns of results, and the file they are written to."""

import json

import numpy as np
import pandas as pd
import pytest

from exhubert.evaluation.report import confidence_table, gender_text, results, speaker_text
from exhubert.files import write_json


def table():
    return pd.DataFrame(
        {
            "label": [0, 1, 0, 0, 1, 1],
            "prediction": [0, 1, 1, 0, 0, 1],
            "speaker": ["x/a", "x/a", "x/a", "y/b", "y/b", None],
            "gender": ["female", "female", "female", "male", "male", None],
            "corpus": ["x", "x", "x", "y", "y", "y"],
            "language": ["de", "de", "de", "ur", "ur", "ur"],
        }
    )


def test_speakers_and_genders_are_broken_down():
    found = results(table(), ["n", "p"])
    assert found["by_speaker"] == {
        "x/a": {"utterances": 3, "classes": ["n", "p"], "uar": pytest.approx((1 / 2 + 1) / 2)},
        "y/b": {"utterances": 2, "classes": ["n", "p"], "uar": 0.5},
    }
    assert {name: (item["utterances"], item["uar"]) for name, item in found["by_gender"].items()} == {
        "female": (3, 0.75),
        "male": (2, 0.5),
        "unknown": (1, 1.0),
    }
    assert gender_text(found["by_gender"]).startswith("female 75.0 on 3 utterances, male 50.0 on 2 utterances, unknown")
    assert speaker_text(found["by_speaker"]) == "from 50.0 through a median of 62.5 to 75.0"
    assert speaker_text({}) == ""


def test_a_speaker_with_one_class_is_measured_on_that_class():
    found = results(table().iloc[[3]], ["n", "p"])["by_speaker"]
    assert found == {"y/b": {"utterances": 1, "classes": ["n"], "uar": 1.0}}


def test_breakdowns_and_calibration_leave_unseen_languages_out_as_the_headline_does():
    probabilities = {"p_n": [0.9, 0.4, 0.4, 0.8, 0.8, 0.3], "p_p": [0.1, 0.6, 0.6, 0.2, 0.2, 0.7]}
    found = results(table().assign(**probabilities), ["n", "p"], unseen_languages=["ur"])
    assert set(found["by_speaker"]) == {"x/a"} and set(found["by_gender"]) == {"female"}
    assert found["calibration"]["ece"] == pytest.approx((0.1 + 2 * (0.6 - 0.5)) / 3)
    assert found["calibration_unseen"]["ece"] == pytest.approx((2 * (0.8 - 0.5) + 0.3) / 3)
    text = confidence_table({"this": found["calibration"], "nothing": None}, "model")
    assert text.splitlines()[2:] == ["| this | 10.0 | 0.353 | 0.511 | 19.4 |"], "AURC: (0 + 1/4 + 1/3) / 3"
    bare = results(table(), ["n", "p"], {"always n": np.zeros(6, dtype=int)}, ["ur"])
    assert bare["baselines"]["always n"]["utterances"] == bare["baselines_unseen"]["always n"]["utterances"] == 3
    assert bare["calibration"] is None and bare["calibration_unseen"] is None and bare["ratings"] is None


def test_results_are_json_that_every_reader_takes():
    rows = table().assign(p_n=1.0, p_p=0.0, arousal_rating=np.nan).iloc[[0, 3]]
    text = json.dumps(results(rows, ["n", "p"], {"n": np.zeros(2, dtype=int)}, ["ur"]), allow_nan=False)
    assert json.loads(text)["overall"]["utterances"] == 1


def test_whoever_reads_results_while_they_are_written_reads_the_old_ones(tmp_path):
    path = tmp_path / "results.json"
    write_json(path, {"uar": 0.5})
    with path.open() as reader:
        write_json(path, {"uar": 0.6})
        assert json.load(reader) == {"uar": 0.5}
    assert json.loads(path.read_text()) == {"uar": 0.6} and list(tmp_path.iterdir()) == [path]
