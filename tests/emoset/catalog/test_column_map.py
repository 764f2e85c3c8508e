"""Tables and datasets whose columns have names of their own are read by a small map."""

import pytest

from exhubert.cli.main import main
from exhubert.emoset import build, load
from exhubert.emoset.catalog import entry, with_columns
from exhubert.emoset.catalog.column_map import find_columns, parse_columns, parse_scales
from exhubert.emoset.listing import list_corpora
from exhubert.emoset.readers import read

from ...conftest import write_tone
from ..conftest import manifest, touch


@pytest.fixture
def calls(tmp_path):
    """A table with strange columns: the usual name `emotion` holds what the speaker says about it."""
    root = tmp_path / "corpora" / "calls"
    lines = ["clip_ref;Affekt;who;emotion;what, said"]
    for index in range(6):
        write_tone(root / f"{index}.wav", frequency=100.0 + 50 * index)
        lines.append(f"{index}.wav;{('joy', 'anger')[index % 2]};s{index // 2};felt well;line {index}")
    return manifest(root, lines)


MAP = "file=clip_ref,label=Affekt,speaker=who,text=what, said"


def test_a_map_of_columns_takes_precedence_over_usual_names_on_the_command_line_and_in_python(calls, tmp_path, capsys):
    command = ["emoset", "build", "--corpus", f"calls={calls}", "--output", str(tmp_path / "out"), "--columns", MAP]
    assert main(command) == 0, capsys.readouterr().err
    columns = {"file": "clip_ref", "emotion": "affekt", "speaker": "who", "text": "what, said"}
    build({"calls": calls}, tmp_path / "python", columns=columns)
    for folder in (tmp_path / "out", tmp_path / "python"):
        rows = [row for part in load(folder).values() for row in part]
        assert {row["raw_label"] for row in rows} == {"joy", "anger"} and len(rows) == 6
        assert {row["speaker"] for row in rows} == {f"calls/s{index}" for index in range(3)}
        assert {row["text"] for row in rows} == {f"line {index}" for index in range(6)}


def test_verify_takes_the_map_too(calls, capsys):
    assert main(["emoset", "verify", "--root", str(calls.parent)]) == 0
    assert "label is missing" not in capsys.readouterr().out  # `emotion` is taken, wrongly
    assert main(["emoset", "verify", "--root", str(calls.parent), "--columns", f"calls:{MAP}"]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("calls "))
    assert "unknown size" in line and "labels without a class" not in line


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("label=afekt", "there is no column 'afekt', which is to be the label. Did you mean Affekt?"),
        ("lable=Affekt", "lable is no field that a column can fill. Did you mean label?"),
        ("calls:label", "expected [CORPUS:]FIELD=COLUMN, such as label=emo,speaker=who or mine:label=emo; found"),
        ("label=Affekt,label=emotion", "Affekt and emotion are both to be the label; keep one"),
        ("label=Affekt,raw_label=emotion", "Affekt and emotion are both to be the label"),
        ("call:label=Affekt", "given for call, but the corpora are calls. Did you mean calls?"),
    ],
)
def test_a_map_that_fits_no_column_or_field_is_a_sentence(calls, tmp_path, capsys, option, message):
    command = ["emoset", "build", "--corpus", f"calls={calls}", "--output", str(tmp_path / "out")]
    assert main([*command, "--columns", "file=clip_ref", "--columns", option]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_map_for_a_corpus_without_a_table_is_not_ignored(tmp_path, capsys):
    touch(tmp_path / "corpus", "wav/03a01Fa.wav")
    command = ["emoset", "build", "--corpus", f"emo_db={tmp_path / 'corpus'}", "--output", str(tmp_path / "out")]
    assert main([*command, "--columns", "emo_db:label=emo"]) == 1
    assert "has no table: its recordings are read by their publisher's layout" in capsys.readouterr().err


def test_what_is_given_for_all_tables_leaves_publishers_corpora_alone(calls, emo_db):
    roots = {"calls": calls, "emo_db": emo_db}
    listings = list_corpora(roots, columns=parse_columns([MAP]), rating_scale=(1, 7))
    assert listings["calls"].entry.rating_scale == (1, 7) and listings["emo_db"].entry.rating_scale is None
    assert {item.record.raw_label for item in listings["emo_db"].utterances} == set("WLEAFTN")
    for settings in ({"columns": {"label": "emo"}}, {"rating_scale": (1, 7)}):
        with pytest.raises(ValueError, match="none of emo_db has a table of your own, such as a manifest.csv"):
            list_corpora({"emo_db": emo_db}, **settings)


def test_a_general_map_goes_with_one_for_a_single_corpus():
    assert parse_columns(["label=emo", "b:label=affect,text=a:b=c"]) == {
        "*": {"label": "emo"},
        "b": {"label": "affect", "text": "a:b=c"},
    }
    assert find_columns({"audio": "WAV "}, ["wav", "emo"], "table.csv") == {"file": "wav"}


@pytest.mark.parametrize("option", ["5,1", "1", "a,b", "1,2,3", "1,1", "nan,5"])
def test_a_scale_of_ratings_is_two_numbers_in_order(option):
    with pytest.raises(ValueError, match="expected .CORPUS:.LOW,HIGH"):
        parse_scales([option])


def test_the_scale_of_ratings_comes_into_the_facts_of_the_corpus(calls):
    facts = with_columns(entry("manifest"), parse_columns([MAP])["*"], parse_scales(["1,7"])["*"])
    assert facts.rating_scale == (1, 7)
    assert [record.raw_label for record in read(facts, calls)][:2] == ["joy", "anger"]
