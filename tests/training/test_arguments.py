"""Arguments: one set of fields for file and command line, and a sentence for what isn't one."""

from pathlib import Path

import pytest

from exhubert.training import parse_arguments

CONFIGS = sorted((Path(__file__).parents[2] / "recipes" / "configs").glob("*.yaml"))


def test_command_line_wins_over_the_file_and_numbers_are_numbers(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("learning_rate: 1e-3\nmax_seconds: 2\nlanguages: [en, de]\noutput_dir: there\n")
    model, data, training = parse_arguments([str(path), "--max_seconds", "1.5", "--seed", "7"])
    assert training.learning_rate == 1e-3 and data.max_seconds == 1.5 and training.seed == 7
    assert data.languages == ["en", "de"] and model.method == "exhubert"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_shipped_configuration_parses(path, tmp_path):
    _, data, training = parse_arguments([str(path), "--output_dir", str(tmp_path), "--bf16", "false"])
    assert data.data and training.metric_for_best_model == "uar"


def test_unknown_key_names_the_nearest(tmp_path):
    (tmp_path / "config.yaml").write_text("learning_rat: 0.1\n")
    with pytest.raises(ValueError, match="unknown key `learning_rat`; did you mean `learning_rate`"):
        parse_arguments([str(tmp_path / "config.yaml")])


def test_wrong_choice_and_single_value_for_a_list_in_the_file(tmp_path):
    (tmp_path / "config.yaml").write_text("method: plain\n")
    with pytest.raises(ValueError, match="`method` is 'plain', expected exhubert or hubert"):
        parse_arguments([str(tmp_path / "config.yaml")])
    (tmp_path / "config.yaml").write_text(f"corpora: own\noutput_dir: {tmp_path}\n")
    assert parse_arguments([str(tmp_path / "config.yaml")])[1].corpora == ["own"]
    with pytest.raises(ValueError, match="unknown option --learning_rat=3; did you mean --learning_rate"):
        parse_arguments(["--learning_rat=3"])


def test_missing_file_and_wrong_content_are_sentences(tmp_path):
    with pytest.raises(ValueError, match="no such configuration file"):
        parse_arguments([str(tmp_path / "nowhere.yaml")])
    (tmp_path / "list.yaml").write_text("- a\n")
    with pytest.raises(ValueError, match="expected `field: value` lines, found a list"):
        parse_arguments([str(tmp_path / "list.yaml")])


def test_fewer_ranks_than_asked_for_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="asks for 2 ranks, but the launcher started 1"):
        parse_arguments(["--processes", "2", "--output_dir", str(tmp_path)])
