"""Patterns with placeholders and values in YAML say what names mean."""

import pytest

from exhubert.emoset.catalog import Layout
from exhubert.emoset.catalog.layouts import compiled, suffixes_of, value_of


@pytest.mark.parametrize(
    ("pattern", "path", "groups"),
    [
        ("{speaker}/{emotion}_{text}.wav", "a/b/Anna/joy_por_favor.wav", ("Anna", "joy", "por_favor")),
        ("{text}_{emotion:letters}.wav", "por_favor_joy.wav", (None, "joy", "por_favor")),
        ("{speaker:2}{text:3}{emotion:1}*.wav", "wav/03a01Fa.WAV", ("03", "F", "a01")),
        ("{emotion:letters}{text:digits}.wav", "x/sa07.wav", (None, "sa", "07")),
        ("{speaker:[FM]\\d{2}}{emotion:.}{text}.*", "F01A9.flac", ("F01", "A", "9")),
        ("{speaker}/{speaker}_{emotion}.wav", "x/x_joy.wav", ("x", "joy", None)),
        ("{speaker}/{*}/{emotion}(1).wav", "s1/any/joy(1).wav", ("s1", "joy", None)),
    ],
)
def test_placeholders_stand_for_parts_of_names(pattern, path, groups):
    match = compiled(pattern).fullmatch(path).groupdict()
    assert tuple(match.get(name) for name in ("speaker", "raw_label", "text")) == groups


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("{speaker}/{speaker}_{emotion}.wav", "x/y_joy.wav"),
        ("{speaker}/{emotion}.wav", "joy.wav"),
        ("{emotion}.wav", "joyxwav"),
        ("{emotion}.*", "joy.tar.wav/x"),
    ],
)
def test_other_names_do_not_match(pattern, path):
    assert compiled(pattern).fullmatch(path) is None


def test_the_ending_of_a_pattern_says_which_files_are_read():
    assert suffixes_of("{emotion}.mp3") == suffixes_of(r"(?P<raw_label>\w+)\.mp3") == (".mp3",)
    assert {".wav", ".flac", ".m4a"} <= set(suffixes_of("{emotion}.*"))


def test_values_are_chosen_by_code_by_wildcard_and_by_another_group():
    rule = {"of": "speaker", "07": "child", "*[13579]": "male", "*": "female"}
    assert [value_of(rule, "gender", {"speaker": code}) for code in ("07", "05", "06", None)] == [
        "child",
        "male",
        "female",
        None,
    ]
    assert value_of({"evaluation": "validation"}, "partition", {"partition": "train"}) == "train"
    assert value_of({"of": "speaker", "a": "male"}, "gender", {"speaker": "b"}) is None
    assert value_of("{speaker}-{take}", "group", {"speaker": "a", "take": None}) is None


def test_songs_and_copies_are_no_utterances(tmp_path):
    layout = Layout(
        "{channel_kind:2}-{raw_label}{raw:x?}.wav", only={"channel_kind": "01"}, unless="{channel_kind}-{raw_label}"
    )
    (tmp_path / "01-joy.wav").touch()
    taken = {
        name: layout.is_utterance(layout.match(name), tmp_path / name)
        for name in ("01-joy.wav", "02-joy.wav", "01-joyx.wav", "01-sadx.wav")
    }
    assert taken == {"01-joy.wav": True, "02-joy.wav": False, "01-joyx.wav": False, "01-sadx.wav": True}
