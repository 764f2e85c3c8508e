"""Paired comparisons, against differences and p-values counted by hand."""

import pandas as pd
import pytest

from exhubert.evaluation.comparison import compare, compare_all, paired_table, read_predictions
from exhubert.records import Results


def table(right, speakers=5):
    """Each speaker says class 0 and class 1 once; `right` has one letter an utterance, `y` for a right prediction."""
    labels = [0, 1] * speakers
    return pd.DataFrame(
        {
            "utterance_id": [f"u{index}" for index in range(len(labels))],
            "label": labels,
            "prediction": [label if letter == "y" else 1 - label for label, letter in zip(labels, right, strict=True)],
            "speaker": [f"s{index // 2}" for index in range(len(labels))],
            "language": "de",
        }
    )


def test_difference_and_p_values_equal_those_counted_by_hand():
    found = compare(table("yyyyyyyyyy"), table("nynyyyyyyy"))
    assert found["difference"] == pytest.approx(1 - (3 / 5 + 1) / 2)
    assert (found["only_this_right"], found["only_other_right"]) == (2, 0)
    assert found["p_mcnemar"] == 2 * (1 / 2) ** 2, "two coins that fall alike"
    assert found["p_speakers"] == 2 * (1 / 2) ** 2, "three of five speakers are the same for both models"


def test_five_speakers_who_all_agree_give_the_smallest_p_they_can():
    found = compare(table("yyyyyyyyyy"), table("nynynynyny"))
    assert found["difference"] == 0.5 and found["difference_interval"] == (0.5, 0.5)
    assert found["p_speakers"] == 2 / 2**5


def test_a_model_does_not_differ_from_itself_and_the_sign_says_who_is_better():
    this, other = table("yyyyyyyyyn"), table("nnyyyyyyyy")
    same = compare(this, this)
    assert (same["difference"], same["p_speakers"], same["p_mcnemar"]) == (0, 1, 1)
    assert same["difference_interval"] == (0, 0)
    assert compare(this, other)["difference"] == pytest.approx(0.1) == -compare(other, this)["difference"]


def test_both_models_get_the_same_drawn_speakers():
    """Speakers are very unequal, but one model has one utterance of ten more right for each of them."""
    rows = [(speaker, index) for speaker in range(6) for index in range(10)]
    base = pd.DataFrame({"speaker": [f"s{speaker}" for speaker, _ in rows], "label": 0})
    base["utterance_id"] = [f"u{index}" for index in range(len(rows))]
    this = base.assign(prediction=[int(index >= speaker + 2) for speaker, index in rows])
    other = base.assign(prediction=[int(index >= speaker + 1) for speaker, index in rows])
    assert compare(this, other)["difference_interval"] == pytest.approx((0.1, 0.1))


def test_many_utterances_of_one_speaker_prove_nothing_about_others():
    talkative = pd.concat([table("yy", 1).assign(utterance_id=[f"t{i}a", f"t{i}b"]) for i in range(20)])
    this = pd.concat([talkative, table("y" * 10).assign(speaker=[f"x{i // 2}" for i in range(10)])])
    other = this.assign(prediction=[1 - label for label in talkative["label"]] + this["prediction"].tolist()[40:])
    found = compare(this, other)
    assert found["p_mcnemar"] < 1e-9 and found["p_speakers"] == 1.0


def test_utterances_are_matched_by_name_and_must_be_the_same():
    this, other = table("yyyyyyyyyy"), table("nynyyyyyyy")
    assert compare(this, other.sample(frac=1, random_state=0)) == compare(this, other)
    with pytest.raises(ValueError, match="different utterances"):
        compare(this, other.iloc[1:])
    with pytest.raises(ValueError, match="different labels"):
        compare(this, other.assign(label=0))


@pytest.mark.parametrize("few", [table("yyyyyyyy", 4), table("y" * 10).assign(speaker=None)])
def test_without_five_named_speakers_only_utterances_are_compared(few):
    found = compare(few, few.assign(prediction=0))
    assert found["difference"] == 0.5 and found["only_this_right"] == len(few) / 2
    assert found["difference_interval"] is None and found["p_speakers"] is None
    assert "| other | +50.0 | too few speakers | " in paired_table({"other": {"overall": found}})


def test_unseen_languages_are_compared_apart():
    this = table("yyyyyyyyyy").assign(language=["de"] * 8 + ["ur"] * 2)
    found = compare_all(this, {"other": this.assign(prediction=0)}, ["ur"])["other"]
    assert (found["overall"]["utterances"], found["unseen_languages"]["utterances"]) == (8, 2)
    alone = compare_all(this, {"other": this}, [])
    assert alone["other"]["unseen_languages"] is None and paired_table(alone, "unseen_languages") == ""


def test_an_evaluation_of_other_utterances_is_refused_and_southern_min_is_a_language(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"results.json is missing; recipes/evaluate_model.py writes it"):
        read_predictions({"other": tmp_path})
    table("yy", 1).assign(language="nan", speaker=None).to_csv(tmp_path / "predictions.csv", index=False)
    Results(
        model="m", partition="test", utterances_sha256="", max_seconds=3.0, speaker_independent=True, temperature=None,
        synthetic=False, corpora={}, class_names=["n", "p"], languages_not_trained_on=[], overall={},
    ).save(tmp_path)  # fmt: skip
    found = read_predictions({"other": tmp_path}, {"max_seconds": 3.0})["other"]
    assert found["language"].tolist() == ["nan", "nan"] and found["speaker"].isna().all()
    with pytest.raises(ValueError, match=r"other .* on other utterances, or with another --max_seconds"):
        read_predictions({"other": tmp_path}, {"max_seconds": 2.0})
