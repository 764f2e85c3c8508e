"""Renders a prediction as HTML for the web page, in pure functions; app.css has the styles, app.js the player."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby
from urllib.parse import unquote

import numpy as np

from ..inference.prediction import SILENT, Prediction, Window, place
from ..labels import AROUSALS, SIX_CLASSES, VALENCES, arousal_valence

BARS = 1000  # maximum number of bars in the waveform
ROWS = 1000  # maximum number of rows in the table
POINTS = 150  # maximum number of points on the path through the plane
_FINE_S = 0.01
_DIMENSIONS = {frozenset(AROUSALS): "arousal", frozenset(VALENCES): "valence"}  # of heads for one alone
_COLOURS = 8  # class colours in app.css; models with more classes reuse them
_WIDTH, _HEIGHT, _LEFT, _TOP, _RIGHT, _BOTTOM = 420, 330, 34, 10, 10, 34


@dataclass(frozen=True)
class Recording:
    """The recording as the page shows it.

    Attributes:
        name: The file's name, as the user knows it.
        peaks: `(bars,)`: the loudest sample of each of at most `BARS` equal parts, from 0 to 1.
        playback: Address of a copy that browsers can play.
        downloads: Addresses of files to offer, by link text.
    """

    name: str
    peaks: np.ndarray
    playback: str
    downloads: Mapping[str, str]


def peaks_of(blocks: Iterable[np.ndarray], rate: int, bars: int = BARS) -> np.ndarray:
    """The loudest sample of each of at most `bars` equal parts of a recording, `(bars,)`, from its blocks `(samples,)`.

    Memory use is one float per 10 ms.

    >>> peaks_of([np.array([0.1, -0.5]), np.array([0.2, 0.0])], rate=200, bars=2).round(1).tolist()
    [0.5, 0.2]
    """
    width = max(1, round(_FINE_S * rate))
    rest, fine = np.zeros(0, dtype=np.float32), []
    for block in blocks:
        rest = np.concatenate([rest, np.abs(block)])
        whole = len(rest) // width * width
        fine.append(rest[:whole].reshape(-1, width).max(axis=1))
        rest = rest[whole:]
    if len(rest):
        fine.append(rest.max(keepdims=True))
    peaks = np.concatenate(fine)
    starts = np.linspace(0, len(peaks), min(bars, len(peaks)), endpoint=False).astype(int)
    return np.minimum(np.maximum.reduceat(peaks, starts), 1.0)


def result_html(prediction: Prediction, recording: Recording) -> str:
    """The whole result: summary, waveform with player, classes, plane, steps and downloads."""
    names, steps, whole = prediction.names, prediction.timeline(), prediction.whole
    plane = _plane(prediction, steps) if prediction.arousal else ""
    links = "".join(
        f'<a class="button" href="{_text(address)}" download="{_text(_file_name(address))}">{_text(what)}</a>'
        for what, address in recording.downloads.items()
    )
    share = "" if whole.probability is None else f" <small>{whole.probability:.0%}</small>"
    columns = "" if whole.silent else f'<div class="columns{"" if plane else " one"}">{_bars(prediction)}{plane}</div>'
    channel = "" if prediction.channel is None else f" · channel {prediction.channel}"
    return (
        f'<article class="exhubert" data-seconds="{prediction.seconds:.3f}" data-label="{_text(whole.caption)}">'
        f'<header><p class="file">{_text(recording.name)}{channel} · {clock(prediction.seconds)}</p>'
        f'<h2><i class="dot {_colour(names, whole)}"></i>{_text(spoken(whole.caption))}{share}</h2>'
        f'<p class="words">{_text(in_words(prediction, steps))}</p></header>'
        f"{_waveform(names, steps, prediction, recording)}"
        f'{columns}{_table(names, steps, bool(plane))}<p class="downloads">{links}</p></article>'
    )


def message_html(sentence: str) -> str:
    """A message in place of a result, which says why there is none."""
    return f'<p class="exhubert message" role="alert">{_text(sentence)}</p>'


def title_html(model: str) -> str:
    """The header of the page."""
    name = model.rstrip("/").split("/")[-1] if model.startswith((".", "/", "~")) else model
    return (
        '<header class="exhubert title"><h1>Emotion in speech</h1>'
        f"<p>How a voice sounds through time, as the model <b>{_text(name)}</b> hears it.</p></header>"
    )


def note_html(max_mb: float, max_minutes: float, kept_minutes: float) -> str:
    """A note on the limits of uploads, where recordings go, and what the result must not be used for."""
    return (
        f'<p class="exhubert note">Up to {max_mb:g} MB and {max_minutes:g} minutes; any format that libsndfile reads. '
        f"Recordings stay on the machine that serves this page and are removed after {kept_minutes:g} minutes. "
        "What you see is a model's guess at how a voice sounds, not what a person feels: don't decide about people "
        "with it.</p>"
    )


def in_words(prediction: Prediction, steps: Sequence[Window]) -> str:
    """Summarises a prediction and its timeline in plain sentences."""
    sentences = [] if prediction.silent else [*_outputs_in_words(prediction), *_changes_in_words(steps)]
    silent = sum(step.end - step.start for step in steps if step.silent)
    if prediction.silent:
        sentences.append(
            "The recording is silent: nothing in it is louder than -60 dB of full scale, so there is no result."
        )
    elif silent:
        sentences.append(
            f"{silent:.1f} s are silent and were left out."
            if silent < 60
            else f"{clock(silent)} minutes of it are silent."
        )
    return " ".join(sentences)


def _outputs_in_words(prediction: Prediction) -> list[str]:
    """Sentences about the whole of a recording that isn't silent."""
    scores = prediction.scores or {}
    if prediction.regression:
        return [f"The model gives {', '.join(f'{spoken(name)} {value:.2f}' for name, value in scores.items())}."]
    (label, share), *others = sorted(scores.items(), key=lambda item: -item[1])
    certain = "The model hears" if share >= 0.5 else "The model is unsure and hears, if anything,"
    if prediction.arousal:
        arousal, valence = arousal_valence(label)
        emotion = f"{arousal} arousal and {valence} valence"
    elif dimension := _DIMENSIONS.get(frozenset(scores)):
        emotion = f"{label} {dimension}"
    else:
        emotion = f"“{spoken(label)}”"
    sentences = [f"{certain} {emotion} ({share:.0%})."]
    if others and others[0][1] >= 0.1:
        sentences.append(f"Next is {spoken(others[0][0])} with {others[0][1]:.0%}.")
    return sentences


def _changes_in_words(steps: Sequence[Window]) -> list[str]:
    """Sentence about how the class changes; none for a single step, and for regression models."""
    spans = [(step.label, step.start) for step in steps if step.label]
    spans = [next(group) for _, group in groupby(spans, key=lambda span: span[0])]
    if len({name for name, _ in spans}) == 1 and len(steps) > 1:
        return ["It stays the same throughout."]
    if 1 < len(spans) <= 4:
        parts = [f"{spoken(name)} from {clock(start)}" for name, start in spans]
        return [f"Through time: {', then '.join(parts)}."]
    return [f"It changes {len(spans) - 1} times."] if len(spans) > 1 else []


def spoken(label: str) -> str:
    """A class name for display.

    >>> spoken("high_negative")
    'high negative'
    """
    return label.replace("_", " ")


def clock(seconds: float) -> str:
    """Minutes and seconds, with hours if there are any.

    >>> clock(65.25), clock(3725)
    ('1:05.2', '1:02:05')
    """
    if seconds >= 3600:
        return f"{int(seconds // 3600)}:{int(seconds % 3600 // 60):02d}:{int(seconds % 60):02d}"
    tenths = int(seconds * 10 + 1e-6)
    return f"{tenths // 600}:{tenths % 600 / 10:04.1f}"


def _text(text: str) -> str:
    """Escapes text for HTML, and for the page's template engine, in which braces and dollar signs are special."""
    return escape(text).translate({ord(mark): f"&#{ord(mark)};" for mark in "{}$@`\\"})


def _file_name(address: str) -> str:
    return unquote(address).rsplit("/", 1)[-1]


def _kind(step: Window) -> str:
    """The class of a step, `silent`, or `sound` for a regression model."""
    return step.label or (SILENT if step.silent else "sound")


def _colour(names: Sequence[str], step: Window) -> str:
    """The CSS class of a predicted class or of silence; the first one for what a regression model heard."""
    if step.silent:
        return "silent"
    return _class_colour(names, step.label) if step.label else "c0"


def _class_colour(names: Sequence[str], label: str) -> str:
    order = SIX_CLASSES if set(names) == set(SIX_CLASSES) else names
    return f"c{list(order).index(label) % _COLOURS}"


def _waveform(names: Sequence[str], steps: Sequence[Window], prediction: Prediction, recording: Recording) -> str:
    """The waveform coloured by class, with a ribbon, time marks, a player and a legend."""
    seconds, shape = prediction.seconds, f"shape{prediction.channel or 0}"  # an id, and a page may show all channels
    count = len(recording.peaks)
    middles = (np.arange(count) + 0.5) * seconds / count
    indices = np.searchsorted([step.start for step in steps], middles, side="right") - 1
    runs, first = [], 0
    for _, group in groupby((steps[index] for index in indices), key=lambda step: step.caption):
        run = list(group)
        runs.append((run[0], first, first + len(run)))
        first += len(run)
    loudest = 1.0 if all(step.silent for step in steps) else max(recording.peaks.max(initial=0.0), 0.01)
    heights = np.maximum(recording.peaks / loudest, 0.012)
    upper = " ".join(f"L{bar + 0.5:g} {-height:.3f}" for bar, height in enumerate(heights))
    lower = " ".join(f"L{bar + 0.5:g} {heights[bar]:.3f}" for bar in reversed(range(count)))
    rectangles = "".join(
        f'<rect class="{_colour(names, step)}" x="{first}" width="{last - first}" y="{{y}}" height="{{height}}">'
        f"<title>{clock(first * seconds / count)} to {clock(last * seconds / count)}: "
        f"{_text(spoken(step.caption))}</title></rect>"
        for step, first, last in runs
    )
    run_data = [
        [round(first * seconds / count, 3), spoken(step.caption), _colour(names, step)] for step, first, _ in runs
    ]
    marks = "".join(f'<span style="left:{100 * at / seconds:.2f}%">{_mark(at)}</span>' for at in _marks(seconds))
    durations: dict[tuple[str, str], float] = {}
    for step in steps:
        kind = (_kind(step), _colour(names, step))
        durations[kind] = durations.get(kind, 0.0) + step.end - step.start
    legend = "".join(
        f'<li><i class="dot {colour}"></i>{_text(spoken(kind))} <span>{time / seconds:.0%} of the time</span></li>'
        for (kind, colour), time in sorted(durations.items(), key=lambda item: -item[1])
    )
    return (
        f'<section class="card wave" data-runs="{_text(json.dumps(run_data))}">'
        f'<audio preload="metadata" src="{_text(recording.playback)}"></audio>'
        '<div class="player"><button type="button" class="play" aria-label="Play"><svg viewBox="0 0 24 24">'
        '<path class="start" d="M8 5v14l11-7z"/><path class="pause" d="M7 5h4v14H7zM13 5h4v14h-4z"/></svg></button>'
        f'<span class="time"><b>0:00.0</b> / {clock(seconds)}</span><span class="now" aria-live="off"></span></div>'
        '<div class="track" tabindex="0" role="slider" aria-label="Position in the recording, in seconds" '
        f'aria-valuemin="0" aria-valuemax="{seconds:.1f}" aria-valuenow="0">'
        f'<svg viewBox="0 -1 {count} 2.22" preserveAspectRatio="none" aria-hidden="true">'
        f'<clipPath id="{shape}"><path d="M0 0 {upper} L{count} 0 {lower} Z"/></clipPath>'
        f'<g clip-path="url(#{shape})">{rectangles.format(y=-1, height=2)}</g>'
        f"{rectangles.format(y=1.1, height=0.12)}</svg>"
        f'<div class="head"></div></div><div class="marks" aria-hidden="true">{marks}</div>'
        f'<ul class="legend">{legend}</ul></section>'
    )


def _marks(seconds: float) -> list[float]:
    """At most seven round times in seconds, starting at 0."""
    steps = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)
    step = next((step for step in steps if seconds / step <= 6), steps[-1])
    return [round(number * step, 1) for number in range(int(seconds / step) + 1) if number * step <= 0.96 * seconds]


def _mark(seconds: float) -> str:
    return clock(seconds) if seconds % 1 else clock(seconds).removesuffix(".0")


def _bars(prediction: Prediction) -> str:
    """The probability of every class, the most probable first; or the outputs of a regression model, in order."""
    names, scores = prediction.names, prediction.scores or {}
    if prediction.regression:
        rows = "".join(
            f'<div class="row" title="{value:.4f}"><dt>{_text(spoken(name))}</dt><dd><b>{value:.2f}</b></dd></div>'
            for name, value in scores.items()
        )
        return f'<section class="card"><h3>Outputs</h3><p>The whole recording</p><dl class="bars">{rows}</dl></section>'
    rows = "".join(
        f'<div class="row" title="{share:.4f}"><dt>{_text(spoken(name))}</dt><dd><span class="bar">'
        f'<i class="{_class_colour(names, name)}" style="width:{100 * share:.1f}%"></i></span>'
        f"<b>{share:.0%}</b></dd></div>"
        for name, share in sorted(scores.items(), key=lambda item: -item[1])
    )
    return f'<section class="card"><h3>Classes</h3><p>The whole recording</p><dl class="bars">{rows}</dl></section>'


def _table(names: Sequence[str], steps: Sequence[Window], plane: bool) -> str:
    """A scrollable table of the first `ROWS` steps of the recording; a click on a step plays from there."""
    if steps[0].regression:
        heads = ["from", "to", "sound", *(_text(spoken(name)) for name in names)]
    else:
        heads = ["from", "to", "class", "probability", *(["arousal", "valence"] if plane else [])]
    rows = []
    for step in steps[:ROWS]:
        cells = "".join(f"<td>{text}</td>" for text in _cells(names, step, plane))
        rows.append(
            f'<tr data-start="{step.start:.3f}"><td>{clock(step.start)}</td><td>{clock(step.end)}</td>'
            f'<td><i class="dot {_colour(names, step)}"></i>{_text(spoken(_kind(step)))}</td>{cells}</tr>'
        )
    more = f"<p>The first {ROWS:,} of {len(steps):,} steps; the CSV has all.</p>" if len(steps) > ROWS else ""
    head = "".join(f"<th>{name}</th>" for name in heads)
    return (
        f'<section class="card"><h3>Steps</h3>{more}<div class="table" tabindex="0" role="region" '
        f'aria-label="Steps of the recording"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody>'
        "</table></div></section>"
    )


def _cells(names: Sequence[str], step: Window, plane: bool) -> list[str]:
    """The numbers of a row of the table; a dash for each in silence."""
    if step.regression:
        return [f"{step.scores[name]:.2f}" if step.scores else "-" for name in names]
    share = "-" if step.probability is None else f"{step.probability:.0%}"
    coordinates = [f"{value:+.2f}" for value in place(step.scores)] if plane and step.scores else ["-", "-"]
    return [share, *(coordinates[::-1] if plane else [])]


def _plane(prediction: Prediction, steps: Sequence[Window]) -> str:
    """The path of the recording through a plane with valence to the right and arousal upwards."""
    names = prediction.names
    located = [(step, place(step.scores)) for step in steps if step.scores]
    parts = np.array_split(np.arange(len(located)), min(POINTS, len(located)))
    points = []
    for part in parts:
        x, y = _at(*np.mean([located[index][1] for index in part], axis=0))
        points.append((located[part[0]][0].start, x, y, _colour(names, located[part[len(part) // 2]][0])))
    path = " ".join(f"{x:.1f},{y:.1f}" for _, x, y, _ in points)
    circles = "".join(
        f'<circle class="{colour}" cx="{x:.1f}" cy="{y:.1f}" r="4.5" '
        f'opacity="{0.5 + 0.5 * number / len(points):.2f}"><title>{clock(start)}</title></circle>'
        for number, (start, x, y, colour) in enumerate(points, start=1)
    )
    left, top, right, bottom = _LEFT, _TOP, _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    x, y = _at(*place(prediction.scores or {}))
    middle_x, middle_y = (left + right) / 2, (top + bottom) / 2
    path_data = [[start, round(x, 1), round(y, 1)] for start, x, y, _ in points]
    columns = ((left + 8, "start", "negative"), (middle_x, "middle", "neutral"), (right - 8, "end", "positive"))
    axis_labels = "".join(
        f'<text x="{at}" y="{bottom + 22}" text-anchor="{anchor}">{word}</text>' for at, anchor, word in columns
    )
    ends = "".join(
        f'<text class="end" x="{px:.1f}" y="{py - 9:.1f}" text-anchor="middle">{word}</text>'
        for (_, px, py, _), word in ([(points[0], "start"), (points[-1], "end")] if len(points) > 1 else [])
    )
    return (
        f'<section class="card plane" data-way="{_text(json.dumps(path_data))}"><h3>Arousal and valence</h3>'
        "<p>The recording's way; the ring is the whole, the dot where it plays</p>"
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="Path of the recording through valence and '
        f'arousal"><rect class="field" x="{left}" y="{top}" width="{right - left}" height="{bottom - top}" rx="6"/>'
        f'<path class="axis" d="M{left} {middle_y}H{right}M{middle_x} {top}V{bottom}"/>{axis_labels}'
        f'<text transform="translate({left - 12} {top + 8}) rotate(-90)" text-anchor="end">high arousal</text>'
        f'<text transform="translate({left - 12} {bottom - 8}) rotate(-90)">low</text>'
        f'<polyline class="way" points="{path}"/>{circles}'
        f'<circle class="mean" cx="{x:.1f}" cy="{y:.1f}" r="9"/>{ends}<circle class="here" r="7"/></svg></section>'
    )


def _at(valence: float, arousal: float) -> tuple[float, float]:
    """The position in the drawing of a point in the plane."""
    width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    return _LEFT + width * (valence + 1) / 2, _TOP + height * (1 - arousal) / 2
