"""The records that jobs leave behind: what is written is read back, also by versions that know other fields."""

import json

import pytest

from exhubert.cli.main import main
from exhubert.records import BuildSummary, Results, Run, Settings


def test_a_run_written_before_a_field_existed_loads_with_its_default(tmp_path):
    old = {"model": {"method": "hubert"}, "data": {"corpora": ["emo_db"]}, "steps": 3, "a_field_of_tomorrow": 1}
    (tmp_path / "run.json").write_text(json.dumps(old))
    run = Run.load(tmp_path)
    assert (run.steps, run.corpora, run.languages, run.gate_norms) == (3, [], [], None)
    run.save(tmp_path)
    assert Run.load(tmp_path) == run and "gate_norms" not in json.loads((tmp_path / "run.json").read_text())


def test_a_missing_or_broken_record_says_which_file_and_what_writes_it(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"run.json is missing; recipes/train.py writes it"):
        Run.load(tmp_path)
    (tmp_path / "results.json").write_text('{"model": "m"}')
    with pytest.raises(ValueError, match=r"results.json lacks partition, .* recipes/evaluate_model.py writes"):
        Results.load(tmp_path)
    (tmp_path / "summary.json").write_text('{"emo_db": {"name": "EMO-DB"')
    with pytest.raises(ValueError, match=r"summary.json isn't valid JSON"):
        BuildSummary.load_all(tmp_path)
    (tmp_path / "summary.json").write_text('{"emo_db": {"name": "EMO-DB"}}')
    with pytest.raises(ValueError, match=r"summary.json, emo_db lacks licence"):
        BuildSummary.load_all(tmp_path)
    (tmp_path / "run.json").write_text("[]")
    with pytest.raises(ValueError, match=r"run.json: expected an object .* found list"):
        Run.load(tmp_path)


SUMMARY = {
    "name": "EMO-DB", "licence": "CC0", "redistribution": "allowed", "kind": "acted", "utterances": 1, "hours": 1,
    "partition_rule": "r", "speaker_independent": True, "rejected": 0, "dropped_labels": {}, "label_map": {},
    "partitions": {"train": {"utterances": 1, "speakers": [], "classes": {}}}, "fingerprint": "f",
}  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"fingerprint": None}, "fingerprint is None"),
        ({"hours": "1"}, "hours is '1'"),
        ({"utterances": True}, "utterances is True"),
        ({"partitions": []}, r"partitions is \[\]"),
        ({"partitions": {"train": 3}}, "partitions is {'train': 3}"),
        ({"partitions": {"train": {"utterances": 1}}}, "lacks speakers, classes of train"),
        ({"label_map": None}, "label_map is None"),
    ],
)
def test_a_summary_with_values_of_another_kind_says_which(tmp_path, changed, message):
    (tmp_path / "summary.json").write_text(json.dumps({"emo_db": SUMMARY}), encoding="utf-8-sig")
    assert SUMMARY.items() <= BuildSummary.load_all(tmp_path)["emo_db"].to_dict().items()
    (tmp_path / "summary.json").write_text(json.dumps({"emo_db": SUMMARY | changed}))
    with pytest.raises(ValueError, match=f"summary.json, emo_db:? {message}"):
        BuildSummary.load_all(tmp_path)


@pytest.mark.parametrize("content", ["", "{}", "[]", "null", "3", '{"emo_db"', '{"emo_db": null}', '{"emo_db": {}}'])
def test_a_dataset_with_a_broken_summary_is_refused_in_a_sentence(tmp_path, capsys, content):
    for command in (["stats", str(tmp_path)], ["push", str(tmp_path), "owner/name"]):
        (tmp_path / "summary.json").write_text(content)
        assert main(["emoset", *command]) == 1
        message = capsys.readouterr().err
        assert message.startswith(f"exhubert: {tmp_path / 'summary.json'}") and message.count("\n") == 1


def test_settings_are_compared_field_by_field_in_groups_and_lists(tmp_path):
    begun = Settings({"model": {"rank": 0, "kwargs": {"a": 1}}, "arm": [{"seed": 0}, {"data": "here"}], "format": "x"})
    begun.save(tmp_path / "new" / "settings.json")
    before = Settings.load(tmp_path / "new" / "settings.json")
    before.require_same(begun, "It", "Stop.")
    before.require_same(Settings({"arm": [{"seed": 0}, {"data": "moved"}]}), "It", "Stop.", ignore=["data"])
    for changed, message in (
        ({"model": {"rank": 8}}, "It began with rank 0, but now rank is 8. Stop."),
        ({"model": {"kwargs": None}}, "It began with kwargs {'a': 1}, but now kwargs is None. Stop."),
        ({"arm": [{"seed": 1}]}, "It began with seed 0, but now seed is 1. Stop."),
        ({"format": "y"}, "It began with format 'x', but now format is 'y'. Stop."),
    ):
        with pytest.raises(ValueError) as error:
            before.require_same(Settings(changed), "It", "Stop.")
        assert str(error.value) == message
