"""Parts of one recording that share most of their sound are never in two partitions."""

import pytest

from exhubert.emoset.dealing.partition import LeakageError
from exhubert.emoset.listing import list_corpus

from ...conftest import write_tone
from ..conftest import manifest


def recordings(root, lines):
    for name in {line.partition(",")[0] for line in lines}:
        write_tone(root / name, seconds=2.0, frequency=100.0 + 10 * int(name[1]))
    return manifest(root, ["file,label,speaker,start,end,channel,partition", *lines])


@pytest.mark.parametrize("part", ["0,2,,test", ",,,test", "0.5,1,,test", "0,1,1,test"])
def test_the_authors_own_partitions_may_not_divide_overlapping_parts(tmp_path, part):
    lines = ["c0.wav,joy,anna,0,1,,train", f"c0.wav,joy,ben,{part}", "c1.wav,joy,cleo,,,,validation"]
    with pytest.raises(LeakageError, match=r"share most of their sound .* own/c0"):
        list_corpus("own", recordings(tmp_path / "own", lines))


@pytest.mark.parametrize("part", ["1,2,,test", "0.9,2,,test", "0,1,1,test"])
def test_neighbours_short_interjections_and_other_channels_may_be_divided(tmp_path, part):
    lines = ["c0.wav,joy,anna,0,1,0,train", f"c0.wav,joy,ben,{part}", "c1.wav,joy,cleo,,,,validation"]
    assert len(list_corpus("own", recordings(tmp_path / "own", lines)).utterances) == 3


def test_where_the_deal_divides_a_recording_the_shorter_part_is_set_aside(tmp_path):
    names = ["anna", "ben", "cleo"]
    lines = [f"c0.wav,joy,{name},{0.1 * index},{2 - 0.2 * index},," for index, name in enumerate(names)]
    lines += [f"c{number}.wav,joy,{name},,,," for number, name in enumerate(names, start=1)]
    listing = list_corpus("own", recordings(tmp_path / "own", lines))
    kept = [item.record.speaker for item in listing.utterances if item.source_file == "c0.wav"]
    assert kept == ["anna"] and {item.partition for item in listing.utterances} == {"train", "validation", "test"}
    reason = "most of it is in own/c0#0.000-2.000 too, in another partition"
    assert [line["reason"] for line in listing.rejected] == [reason] * 2
