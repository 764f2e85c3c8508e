"""The drawing of a result: bounded, escaped, and in words that say what the figures say."""

from html.parser import HTMLParser

import numpy as np

from exhubert.app.drawing import BARS, ROWS, Recording, in_words, peaks_of, result_html
from exhubert.inference.prediction import Prediction, Window
from exhubert.labels import SIX_CLASSES

from .conftest import HOSTILE, drawn


def test_a_long_recording_is_drawn_in_bounds():
    _, made = drawn(2_500)
    assert made.count("<tr data-start") == ROWS and f"The first {ROWS:,} of 2,500 steps" in made
    assert made.count("<rect") <= 2 * BARS + 1 and made.count("<circle") < 200 and len(made) < 1_000_000


def test_every_name_in_the_drawing_is_escaped():
    class Tags(HTMLParser):
        found = set()

        def handle_starttag(self, tag, attributes):
            self.found |= {tag} | {name for name, _ in attributes if name.startswith("on")}

    parser = Tags()
    parser.feed(drawn(5, HOSTILE)[1])
    assert "article" in parser.found and not parser.found & {"img", "onerror"}
    assert "${" not in drawn(5, HOSTILE)[1] and "{{" not in drawn(5, HOSTILE)[1]


def test_the_words_tell_what_the_figures_say():
    prediction, _ = drawn(8)
    said = in_words(prediction, prediction.timeline())
    assert said.startswith("The model hears high arousal and negative valence (60%). Next is high neutral with 15%.")
    assert "It changes 5 times. 0.2 s are silent and were left out." in said
    unsure = Prediction(**(vars(prediction) | {"scores": prediction.scores | {"high_negative": 0.4}}))
    assert "unsure" in in_words(unsure, unsure.timeline())


def test_a_head_for_other_classes_is_told_by_its_classes_without_a_plane():
    for scores, sentence in (
        ({"low": 0.3, "high": 0.7}, "The model hears high arousal (70%). Next is low with 30%."),
        ({"negative": 0.1, "neutral": 0.8, "positive": 0.1}, "The model hears neutral valence (80%)."),
        ({"anger": 0.9, "pleasant surprise": 0.1}, "The model hears “anger” (90%)."),
    ):
        label, windows = max(scores, key=scores.get), [Window(0.0, 1.0, False, scores)]
        prediction = Prediction("a.wav", label, scores, None, None, 1.0, windows)
        assert in_words(prediction, prediction.timeline()).startswith(sentence)
        made = result_html(prediction, Recording("a.wav", np.full(BARS, 0.5), "playback.wav", {}))
        assert "card plane" not in made and "<th>valence" not in made and f'data-label="{label}"' in made


def test_peaks_are_the_loudest_sample_of_each_part_wherever_blocks_end():
    samples = np.random.default_rng(0).uniform(-1, 1, 160_000).astype(np.float32)
    expected = np.abs(samples).reshape(100, -1).max(axis=1)
    for size in (160_000, 999):
        blocks = [samples[start : start + size] for start in range(0, len(samples), size)]
        np.testing.assert_array_equal(peaks_of(blocks, 16_000, bars=100), expected)


def test_a_silent_recording_is_drawn_without_a_class():
    windows = [Window(0.0, 1.0, True, None), Window(1.0, 2.0, True, None)]
    prediction = Prediction("a.wav", None, None, None, None, 2.0, windows, silent=True, names=SIX_CLASSES)
    made = result_html(prediction, Recording("a.wav", np.zeros(BARS), "playback.wav", {}))
    assert 'data-label="silent"' in made and "The recording is silent" in made and "100% of the time" in made
    assert made.count("<tr data-start") == 2 and "card plane" not in made and 'class="bars"' not in made
    assert not any(name.replace("_", " ") in made for name in SIX_CLASSES)


def test_the_outputs_of_a_regression_model_are_drawn_by_name():
    values = {"valence<": 2.5, "arousal": -1.25}
    windows = [Window(0.0, 1.0, False, values, True), Window(1.0, 2.0, True, None, True)]
    prediction = Prediction("a.wav", None, values, None, None, 2.0, windows, names=tuple(values), regression=True)
    made = result_html(prediction, Recording("a.wav", np.full(BARS, 0.5), "playback.wav", {}))
    assert "The model gives valence&lt; 2.50, arousal -1.25." in made and "1.0 s are silent" in made
    assert "<th>valence&lt;</th><th>arousal</th>" in made and "<td>2.50</td><td>-1.25</td>" in made
    assert "probability" not in made and "<th>class</th>" not in made and "%</b>" not in made and "valence<" not in made
