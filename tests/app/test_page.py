"""The web page as a visitor meets it: a real server, a real browser, recordings made here."""

import contextlib
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import requests
import soundfile

from exhubert import ExHuBERTForSequenceClassification, default_feature_extractor
from exhubert.app import page as app
from exhubert.audio import AudioError
from exhubert.cli.main import main
from exhubert.inference.formats import csv_lines, textgrid
from exhubert.inference.prediction import Prediction
from exhubert.inference.recordings import load_pipeline, predict
from exhubert.labels import SIX_CLASSES

from ..conftest import tiny_hubert, write_silence, write_tone
from .conftest import HOSTILE, drawn

gradio = pytest.importorskip("gradio", reason="the page needs gradio: pip install 'exhubert[app]'")


CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


QUIET = "--no-sandbox --disable-gpu --disable-background-networking --disable-component-update --disable-sync"


WINDOW, MAX_MB, MAX_MINUTES = 0.5, 0.5, 0.1


RESULT, MESSAGE, INPUT = "#result article", "#result .message", "#recording input[type=file]"


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """Six classes, a head that is sure of what it says, so that recordings and windows differ."""
    return save(tmp_path_factory.mktemp("app") / "model", SIX_CLASSES)


def save(folder: Path, labels) -> Path:
    made = ExHuBERTForSequenceClassification.from_hubert(tiny_hubert("pre_norm"), labels=list(labels))
    made.classifier.weight.data.normal_(std=8.0)
    made.save_pretrained(folder)
    default_feature_extractor(made.config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def classifier(model):
    return load_pipeline(model, "cpu")


@contextlib.contextmanager
def serving(model: Path, around: Path):
    """A server whose home, working and temporary folder are below `around`; its process and the page's address."""
    places = {name: around / name for name in ("HOME", "TMPDIR", "cwd")}
    for place in places.values():
        place.mkdir(parents=True)
    command = [sys.executable, "-m", "exhubert", "app", str(model), "--device", "cpu", "--window_s", str(WINDOW)]
    command += ["--max_mb", str(MAX_MB), "--max_minutes", str(MAX_MINUTES)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_HOME", "XDG_"))}
    environment |= {"HOME": str(places["HOME"]), "TMPDIR": str(places["TMPDIR"]), "OMP_NUM_THREADS": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": (around / "stderr").open("w"), "text": True}
    process = subprocess.Popen(command, env=environment, cwd=places["cwd"], **pipes)
    try:
        said = process.stdout.readline()
        assert "the page is at http://127.0.0.1:" in said, (around / "stderr").read_text()
        yield process, re.search(r"http://\S+", said)[0]
    finally:
        process.terminate()
        process.wait(timeout=30)


@pytest.fixture(scope="module")
def around(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("around")


@pytest.fixture(scope="module")
def server(model, around):
    with serving(model, around) as found:
        yield found


@pytest.fixture(scope="module")
def address(server) -> str:
    return server[1]


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine")
    playwright = pytest.importorskip("playwright.sync_api", reason="a browser is driven by playwright")
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=CHROMIUM, args=[*QUIET.split(), "--no-first-run"])
        yield found
        found.close()


@pytest.fixture
def visit(browser, address):
    """Opens the page as a new visitor; what it asked for is in `asked`, and what went wrong in it in `wrong`."""
    contexts = []

    def opened(**settings):
        contexts.append(browser.new_context(**settings))
        page = contexts[-1].new_page()
        page.asked, page.wrong = [], []
        page.on("request", lambda request: page.asked.append(request.url))
        page.on("pageerror", lambda error: page.wrong.append(str(error)))
        page.goto(address)
        page.wait_for_selector(INPUT, state="attached")
        return page

    yield opened
    for context in contexts:
        context.close()


def write_speechlike(path: Path, seconds: float = 1.6) -> Path:
    """A tone that rises from window to window, with a silent second half second."""
    rate = 16_000
    time = np.arange(round(seconds * rate)) / rate
    samples = 0.4 * np.sin(2 * np.pi * (200 + 900 * time // WINDOW) * time)
    samples[rate // 2 : rate] = 0.0
    soundfile.write(path, samples, rate)
    return path


def upload(page, *files, shown: str = RESULT) -> None:
    page.set_input_files(INPUT, *files)
    page.wait_for_selector(shown)


def shares(page) -> list[str]:
    return sorted(row.get_attribute("title") for row in page.query_selector_all(".bars .row"))


def as_shown(found: Prediction) -> list[str]:
    return sorted(f"{share:.4f}" for share in found.scores.values())


def test_the_page_shows_and_gives_out_what_predict_says(visit, classifier, tmp_path):
    path = write_speechlike(tmp_path / "voice.wav")
    page = visit()
    upload(page, path)
    found = predict(classifier, path, window_s=WINDOW)
    assert page.get_attribute(RESULT, "data-label") == found.label
    assert page.inner_text("#result h2").startswith(found.label.replace("_", " "))
    assert shares(page) == as_shown(found)
    rows = [row.inner_text().split("\t")[2].strip() for row in page.query_selector_all("tbody tr")]
    assert rows == [(step.label or "silent").replace("_", " ") for step in found.timeline()]
    assert "silent" in rows and page.query_selector(".track rect.silent")

    named = Prediction(**(vars(found) | {"file": "voice.wav"}))
    for link, expected in (("CSV", csv_lines(named, timeline=True)), ("TextGrid", textgrid(named))):
        with page.expect_download() as download:
            page.click(f"text=Download {link}")
        assert download.value.suggested_filename == f"voice.{link if link == 'TextGrid' else 'csv'}"
        assert Path(download.value.path()).read_text() == expected
    assert page.wrong == []


def test_the_channels_of_a_call_are_shown_one_by_one_each_with_its_player(visit, classifier, tmp_path):
    rate = 16_000
    voices = [soundfile.read(write_speechlike(tmp_path / "voice.wav"))[0]]
    voices.append(0.3 * np.sin(2 * np.pi * 3_000 * np.arange(len(voices[0])) / rate))
    soundfile.write(tmp_path / "call.wav", np.stack(voices, axis=1), rate)
    page = visit()
    page.click("#channels input")
    page.click("text=Each channel by itself")
    upload(page, tmp_path / "call.wav", shown=f"{RESULT} + article")
    found = [
        predict(classifier, tmp_path / "call.wav", channel=one, window_s=WINDOW, skip_silence=True) for one in (0, 1)
    ]
    articles = page.query_selector_all(RESULT)
    assert len(articles) == 2
    for article, expected in zip(articles, found, strict=True):
        assert article.get_attribute("data-label") == expected.label
        assert article.query_selector(".file").inner_text() == f"call.wav · channel {expected.channel} · 0:01.6"
        shown = sorted(row.get_attribute("title") for row in article.query_selector_all(".bars .row"))
        assert shown == as_shown(expected)
    named = [Prediction(**(vars(one) | {"file": "call.wav"})) for one in found]
    tables = "".join(csv_lines(one, timeline=True, header=one is named[0]) for one in named)
    for link, expected in (("CSV", tables), ("TextGrid", textgrid(*named))):
        with page.expect_download() as download:
            page.click(f"text=Download {link} >> nth=0")
        assert Path(download.value.path()).read_text() == expected

    page.wait_for_function("[...document.querySelectorAll('#result audio')].every(each => each.readyState > 0)")
    track = page.locator("#result .track").nth(1)
    track.click(position={"x": 0.75 * track.bounding_box()["width"], "y": 40})
    times = "[...document.querySelectorAll('#result audio')].map(each => each.currentTime)"
    assert page.evaluate(times) == [0, pytest.approx(1.2, abs=0.02)]
    page.locator("#result .play").nth(1).click()
    page.wait_for_function("document.querySelectorAll('#result audio')[1].currentTime > 1.25")
    page.locator("#result .play").nth(0).click()
    page.wait_for_function("document.querySelectorAll('#result audio')[0].currentTime > 0")
    assert page.evaluate("document.querySelectorAll('#result audio')[1].paused"), "one is heard at a time"
    assert page.wrong == []


def test_one_channel_can_be_chosen_and_a_missing_one_is_said(classifier, tmp_path):
    voice = soundfile.read(write_speechlike(tmp_path / "voice.wav"))[0]
    soundfile.write(tmp_path / "call.wav", np.stack([0 * voice, voice], axis=1), 16_000)
    limits = app.Limits(window_s=WINDOW)
    shown = app.result_of(classifier, tmp_path / "call.wav", tmp_path, limits, channel=1)
    assert "call.wav · channel 1" in shown and shown.count("<article") == 1
    [playback] = tmp_path.glob("result-*/playback-1.wav")
    np.testing.assert_array_equal(soundfile.read(playback)[0], soundfile.read(tmp_path / "call.wav")[0][:, 1])
    with pytest.raises(AudioError, match="channel 2, counted from 0, was asked for; there are 2"):
        app.result_of(classifier, tmp_path / "call.wav", tmp_path, limits, channel=2)
    soundfile.write(tmp_path / "nine.wav", np.repeat(voice[:, None], 9, axis=1), 16_000)
    with pytest.raises(AudioError, match="there are 9 channels, but at most 8 are shown one by one. Choose one"):
        app.result_of(classifier, tmp_path / "nine.wav", tmp_path, limits, channel="each")


def test_a_click_on_the_waveform_or_a_step_goes_there_and_play_moves_on(visit, classifier, tmp_path):
    path = write_speechlike(tmp_path / "voice.wav")
    page = visit()
    upload(page, path)
    page.wait_for_function("document.querySelector('#result audio').readyState > 0")
    steps = predict(classifier, path, window_s=WINDOW).timeline()

    def now() -> tuple[float, str]:
        return page.evaluate("document.querySelector('#result audio').currentTime"), page.inner_text("#result .now")

    track = page.locator("#result .track")
    track.click(position={"x": 0.75 * track.bounding_box()["width"], "y": 40})
    seconds, label = now()
    assert seconds == pytest.approx(1.2, abs=0.02)
    assert label == next(step for step in steps if step.start <= 1.2 < step.end).label.replace("_", " ")
    page.click("tbody tr:nth-child(2)")
    assert now() == (0.5, "silent")
    page.click("#result .play")
    page.wait_for_function("document.querySelector('#result audio').currentTime > 0.6")
    page.wait_for_function("parseFloat(document.querySelector('#result .head').style.left) > 37")
    assert page.wrong == []


def test_nothing_comes_from_or_goes_to_another_host(visit, address, tmp_path):
    page = visit(color_scheme="dark")
    upload(page, write_speechlike(tmp_path / "voice.wav"))
    page.click("#result .play")
    page.wait_for_load_state("networkidle")
    hosts = {urlsplit(url).netloc for url in page.asked if not url.startswith(("data:", "blob:"))}
    assert hosts == {urlsplit(address).netloc}
    assert any("playback.wav" in url for url in page.asked), "else the recording wasn't asked for either"


def test_a_file_that_is_no_recording_gets_the_sentence_that_says_so(visit, tmp_path):
    (tmp_path / "notes.wav").write_text("no sound\n" * 9)
    page = visit()
    upload(page, tmp_path / "notes.wav", shown=MESSAGE)
    said = page.inner_text(MESSAGE)
    assert said.startswith("notes.wav: not a recording that can be read"), said
    assert "Traceback" not in page.content() and "exhubert-app-" not in said
    upload(page, write_tone(tmp_path / "short.wav", seconds=0.001), shown=f"{MESSAGE}:has-text('too short')")
    assert page.inner_text(MESSAGE).startswith("short.wav: 0.0010 s is too short")
    upload(page, write_tone(tmp_path / "fine.wav"))
    assert not page.query_selector(MESSAGE)


def test_too_large_and_too_long_recordings_are_refused_with_the_limit(visit, address, tmp_path):
    page = visit()
    assert f"Up to {MAX_MB:g} MB and {MAX_MINUTES:g} minutes" in page.inner_text("main")
    large = write_tone(tmp_path / "large.wav", seconds=17)
    page.set_input_files(INPUT, large)
    page.wait_for_selector("text=/exceed the maximum allowed size of 512.*large.wav/")
    assert not page.query_selector(RESULT)
    sent = requests.post(f"{address}gradio_api/upload", files={"files": ("large.wav", large.read_bytes())})
    assert sent.status_code == 413, "whatever sends it"
    long = write_tone(tmp_path / "long.wav", seconds=7)
    page.reload()
    page.wait_for_selector(INPUT, state="attached")
    upload(page, long, shown=MESSAGE)
    assert page.inner_text(MESSAGE) == "long.wav: the recording is longer than 0.1 minutes, the most taken here."


def test_visitors_at_once_get_their_own_results(visit, classifier, tmp_path):
    files = [write_tone(tmp_path / f"{index}.wav", 1.0 + index / 4, frequency=150 * 3**index) for index in range(3)]
    pages = [visit() for _ in files]
    for page, file in zip(pages, files, strict=True):
        page.set_input_files(INPUT, file)
    for page, file in zip(pages, files, strict=True):
        page.wait_for_selector(RESULT)
        assert page.inner_text("#result .file").startswith(f"{file.name} ")
        assert shares(page) == as_shown(predict(classifier, file, window_s=WINDOW))


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (390, "dark"), (1280, "dark")])
def test_nothing_is_wider_than_the_screen_and_the_theme_is_the_visitors(visit, tmp_path, width, scheme):
    page = visit(viewport={"width": width, "height": 844}, color_scheme=scheme)
    upload(page, write_speechlike(tmp_path / f"{'long_' * 20}.wav"))
    assert page.evaluate("document.documentElement.scrollWidth") == width
    wide = "e => Math.max(e.getBoundingClientRect().right, e.getBoundingClientRect().left + e.scrollWidth)"
    parts = page.query_selector_all(".exhubert, .exhubert :not(.table *, svg *)")
    assert max(page.evaluate(wide, part) for part in parts) <= width
    paper = page.evaluate("getComputedStyle(document.querySelector('.card')).backgroundColor")
    assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(23, 26, 33)"}[scheme]


def test_a_file_name_is_text_and_nothing_else_to_a_browser(browser):
    page = browser.new_page()
    page.set_content(drawn(5, HOSTILE)[1])
    assert page.inner_text(".file") == f"{HOSTILE} · 0:00.5"
    assert page.evaluate("window.hacked") is None and not page.query_selector("img")
    page.close()


def test_recordings_and_results_are_removed_after_an_hour(tmp_path):
    for name, age in (("old", app.KEPT_S + 60), ("new", 60)):
        write_tone(tmp_path / name / "voice.wav")
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    app.remove_old(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_other_classes_have_everything_but_the_plane(tmp_path):
    classifier = load_pipeline(save(tmp_path / "model", ["calm", "angry", "glad"]), "cpu")
    made = app.result_of(classifier, write_speechlike(tmp_path / "v.wav"), tmp_path, app.Limits(window_s=WINDOW))
    assert 'class="card plane"' not in made and "arousal" not in made
    for part in ("card wave", "bars", "<table>", "Download CSV", "calm", "angry", "glad", "silent"):
        assert part in made


def test_silence_and_regression_models_have_results_of_their_own(classifier, regression_folder, tmp_path):
    silent = write_silence(tmp_path / "still.wav")
    numbers = load_pipeline(regression_folder, "cpu")
    for each in (classifier, numbers):
        made = app.result_of(each, silent, tmp_path, app.Limits(window_s=WINDOW))
        assert 'data-label="silent"' in made and "The recording is silent" in made
    made = app.result_of(numbers, write_speechlike(tmp_path / "v.wav"), tmp_path, app.Limits(window_s=WINDOW))
    assert "The model gives valence" in made and "<th>dominance</th>" in made and "<th>class</th>" not in made
    for table in tmp_path.glob("result-*/*.csv"):
        assert "silent" in table.read_text()


def test_without_gradio_the_command_says_what_to_install(model, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert main(["app", str(model)]) == 1
    assert capsys.readouterr().err == "exhubert: The web page needs gradio: pip install 'exhubert[app]'.\n"
    assert main(["app", str(model), "--max_mb", "0"]) == 1
    assert "--max_mb is 0, expected a number above 0" in capsys.readouterr().err


# Machado et al. 2009, severity 1: what linear sRGB looks like with one kind of cone missing.
_VISION = {
    "all": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


_LMS = np.array(
    [[0.41222147, 0.53633254, 0.05144599], [0.2119035, 0.6806995, 0.10739696], [0.08830246, 0.28171884, 0.6299787]]
)


_OKLAB = np.array(
    [[0.2104543, 0.7936178, -0.004072], [1.9779985, -2.4285922, 0.4505937], [0.0259040, 0.7827718, -0.8086758]]
)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_six_classes_and_silence_differ_for_every_kind_of_sight_and_stand_out_from_the_page(theme):
    css = Path(app.__file__).with_name("app.css").read_text()

    def colour(name: str) -> np.ndarray:
        digits = re.findall(rf"--{name}: #([0-9a-f]{{6}})", css)[theme]
        values = np.array([int(digits[at : at + 2], 16) for at in (0, 2, 4)]) / 255
        return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)

    classes = [colour(f"c{index}") for index in range(6)]
    for matrix in map(np.array, _VISION.values()):
        seen = [
            np.array(_OKLAB) @ np.cbrt(_LMS @ np.clip(matrix @ each, 0, 1)) for each in [*classes, colour("silent")]
        ]
        assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 0.07
    page, *lights = [float(each @ [0.2126, 0.7152, 0.0722]) + 0.05 for each in (colour("page"), *classes)]
    assert min(max(light, page) / min(light, page) for light in lights) >= 3.0, "WCAG 1.4.11"


def test_a_visit_writes_to_the_temporary_folder_only_and_that_goes_in_the_end(visit, server, around, tmp_path):
    """The last of the tests, for it stops the server."""
    upload(visit(), write_tone(tmp_path / "voice.wav"))
    [folder] = (around / "TMPDIR").iterdir()
    assert folder.name.startswith("exhubert-app-") and list(folder.glob("result-*/voice.csv"))
    outside = [*(around / "HOME").rglob("*"), *(around / "cwd").rglob("*")]
    assert [path for path in outside if path.is_file()] == []
    server[0].send_signal(signal.SIGTERM)
    assert server[0].wait(timeout=30) == 0
    assert list((around / "TMPDIR").iterdir()) == []
