"""EmoBox's lists of recordings, in a clone and beside the recordings."""

import json

import pytest

from exhubert.emoset import read
from exhubert.emoset.listing import list_corpus
from exhubert.emoset.sources import find_corpora

from ...conftest import write_tone
from ..conftest import EMOTIONS

WORDS = dict(zip("WLEAFTN", ("angry", "bored", "disgusted", "fearful", "happy", "sad", "neutral"), strict=True))


def write_list(path, rows):
    """Writes the rows as EmoBox does: key, path and emotion of each."""
    facts = {"dataset": "emodb", "type": "raw", "sample_rate": 16000, "length": 0.5, "task": "category", "channel": 1}
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"key": key, "wav": wav, "emo": emo} | facts) for key, wav, emo in rows]
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture
def clone(tmp_path):
    rows = []
    for number, speaker in enumerate(("03", "08", "09", "10", "11")):
        for pitch, code in enumerate(EMOTIONS):
            wav = f"downloads/emodb/wav/{speaker}a01{code}a.wav"
            write_tone(tmp_path / wav, frequency=100.0 + 13 * number + 60 * pitch)
            rows.append((f"emodb-{speaker}a01{code}a", wav, WORDS[code]))
    write_list(tmp_path / "data/emodb/emodb.jsonl", rows)
    write_list(tmp_path / "data/emodb/fold_1/emodb_test_fold_1.jsonl", rows[:7])
    return tmp_path


def test_a_list_of_a_clone_has_words_as_labels_and_the_speakers_that_the_names_tell(clone):
    root = clone / "data/emodb"
    assert find_corpora(clone / "data").found == {"emo_db": root}
    listing = list_corpus("emo_db", root)
    assert len(listing.utterances) == 35 and not listing.dropped and not listing.rejected
    found = {item.record.file.name: (item.record.raw_label, item.record.speaker) for item in listing.utterances}
    assert found["03a01Wa.wav"] == ("angry", "03") and found["08a01Fa.wav"] == ("happy", "08")
    assert {item.record.channel for item in listing.utterances} == {None}, "the number of channels is no channel"
    assert listing.rule == "speaker"


def test_a_list_without_its_recordings_or_with_other_keys_is_no_corpus(tmp_path):
    write_list(tmp_path / "lists" / "emodb.jsonl", [("a", "downloads/a.wav", "angry")])
    write_tone(tmp_path / "other" / "a.wav")
    (tmp_path / "other" / "a.jsonl").write_text('{"key": "a", "wav": "a.wav"}\n[1]\n')
    (tmp_path / "other" / "b.jsonl").write_text("no json\n")
    assert not find_corpora(tmp_path).found


def test_a_corpus_of_its_own_has_no_speakers(tmp_path):
    write_tone(tmp_path / "mine" / "wav" / "a.wav")
    write_list(tmp_path / "mine" / "mine.jsonl", [("a", "wav/a.wav", "angry"), ("b", "wav/b.wav", "sad")])
    found = [(record.file.name, record.raw_label, record.speaker) for record in read("manifest", tmp_path / "mine")]
    assert found == [("a.wav", "angry", None), ("b.wav", "sad", None)]
