"""Forms in which people bring corpora are told from other folders, also if the library that reads one is missing."""

import sys

import pytest

from exhubert.cli.main import main
from exhubert.emoset.listing import list_corpus
from exhubert.emoset.readers import own_form
from exhubert.emoset.sources import find_corpora

from ...conftest import write_tone

HEADER = """name: emodb
source: somewhere
usage: unrestricted
languages: [deu]
schemes:
  emotion: {dtype: str, labels: [anger, happiness]}
tables:
  emotion:
    type: filewise
    columns:
      emotion: {scheme_id: emotion}
"""


@pytest.fixture
def database(tmp_path):
    """A database as a text editor writes it, with recordings under names of EMO-DB in a sub-folder."""
    root = tmp_path / "corpora" / "berlin"
    for number, name in enumerate(("03a01Wa", "08a01Wa", "09a01Fa")):
        write_tone(root / "wav" / f"{name}.wav", frequency=150.0 + 60 * number)
    (root / "db.yaml").write_text(HEADER)
    (root / "db.emotion.csv").write_text(
        "file,emotion\nwav/03a01Wa.wav,anger\nwav/08a01Wa.wav,anger\nwav/09a01Fa.wav,happiness\n"
    )
    return root


def test_without_audformat_a_database_is_still_one_and_a_sentence_says_how_to_read_it(
    database, tmp_path, monkeypatch, capsys
):
    monkeypatch.setitem(sys.modules, "audformat", None)
    for place in (database, database.parent):
        assert find_corpora(place).found == {"emo_db": database}, "not the sub-folder, whose names are those of EMO-DB"
    with pytest.raises(
        ValueError, match=r"db.yaml: reading an audformat database .* pip install 'exhubert\[corpora\]'"
    ):
        list_corpus("emo_db", database)
    assert main(["emoset", "build", "--root", str(database), "--output", str(tmp_path / "out")]) == 1
    assert "pip install 'exhubert[corpora]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text",
    [
        "host: localhost\nport: 5432\n",
        "name: shop\nsource: postgres\nusage: production\n",
        "- name: a\n- name: b\n",
        "",
    ],
)
def test_another_db_yaml_is_no_database(database, text):
    (database / "db.yaml").write_text(text)
    assert own_form(database) is None


def test_a_manifest_comes_before_other_forms(database):
    (database / "manifest.csv").write_text("file,label\nwav/03a01Wa.wav,anger\n")
    form = own_form(database)
    assert form is not None and form.name == "a manifest"
