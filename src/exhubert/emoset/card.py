"""Writes the dataset card of a built dataset, with tables and plots, from the dataset's own files."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from matplotlib.figure import Figure

from ..files import ACCENT, INK, PALE, is_own_picture, markdown_table, save_figure
from ..labels import SIX_CLASSES
from ..records import BuildSummary
from ..targets import is_own_text, refuse_foreign, write_recorded
from .labelling.label_spaces import read_space
from .labelling.rated import COLUMNS, label_facts
from .labelling.relabel import classes_of, labels_text, scale_sentence, utterances_text

_PLOTS = ("classes.png", "languages.png", "durations.png")
_WITHOUT = "without class"


_HEARING = [
    "## Hearing a row",
    "",
    "```python",
    "from datasets import Audio, load_dataset",
    "",
    'rows = load_dataset("parquet", data_files="*/*-train*.parquet", split="train")',
    'rows[0]["audio"]["array"]  # with torchcodec installed',
    "```",
    "",
    "Without torchcodec, everything but decoding works, and soundfile decodes:",
    "",
    "```python",
    "import io",
    "",
    "import soundfile",
    "",
    'audio = rows.cast_column("audio", Audio(decode=False))[0]["audio"]',
    'samples, rate = soundfile.read(io.BytesIO(audio["bytes"]))  # 16000 Hz',
    "```",
    "",
]


def write_statistics(folder: str | Path) -> Path:
    """Writes `README.md` (the dataset card), `statistics.csv` and `plots/` into a built dataset and returns the card.

    Raises:
        FileNotFoundError: The folder contains no finished dataset.
        TargetError: One of these files exists and isn't ours, or the card was edited.
    """
    folder = Path(folder)
    summary = BuildSummary.load_all(folder)
    _check_files(folder)
    shards = [path for corpus in summary for path in sorted((folder / corpus).glob("*.parquet"))]
    if not shards:
        raise FileNotFoundError(f"{folder} lacks the shards of {', '.join(summary)}; build it again.")
    rows = pd.concat([_facts(path) for path in shards], ignore_index=True)
    maps = {corpus: item.label_map for corpus, item in summary.items()}
    names = classes_of(read_space("six"), rows, maps).fillna(_WITHOUT)
    order = [*SIX_CLASSES, *([_WITHOUT] if (names == _WITHOUT).any() else [])]
    counts = pd.crosstab(rows["corpus"], names.rename("class")).reindex(columns=order, fill_value=0)
    emotions = pd.crosstab(rows["corpus"], classes_of(read_space("native"), rows, maps).rename("emotion"))
    write_recorded(folder / "statistics.csv", counts.to_csv(lineterminator="\n"))
    plots = folder / "plots"
    plot_class_table(counts, plots / _PLOTS[0], "Utterances by corpus and class")
    plot_hours(rows.groupby("language")["duration"].sum() / 3600, plots / _PLOTS[1], "Hours by language")
    plot_durations(rows["duration"], plots / _PLOTS[2], "Duration of utterances")
    card = folder / "README.md"
    write_recorded(card, _card(summary, counts, emotions))
    return card


def _facts(path: Path) -> pd.DataFrame:
    """The columns of a shard that the card shows; one of an earlier version lacks some."""
    present = pq.read_schema(path).names
    table = pq.read_table(path, columns=[name for name in (*COLUMNS, "duration") if name in present])
    return label_facts(table).assign(duration=table["duration"].to_pandas())


def _check_files(folder: Path) -> None:
    """Raises `TargetError` if the card was edited, or if a file of its name or a picture isn't ours."""
    card, remedy = folder / "README.md", "Move it, or delete it."
    refuse_foreign("The card of the dataset", card, is_own_text(card, "pretty_name: EmoSet++ build"), remedy)
    table = folder / "statistics.csv"
    refuse_foreign("The table of the dataset", table, is_own_text(table, f"corpus,{SIX_CLASSES[0]},"), remedy)
    for path in (folder / "plots" / name for name in _PLOTS):
        # pictures from before there was a mark belong to the card
        refuse_foreign("The plots of the dataset", path, card.exists() or is_own_picture(path), remedy)


def _card(summary: Mapping[str, BuildSummary], counts: pd.DataFrame, emotions: pd.DataFrame) -> str:
    utterances = sum(facts.utterances for facts in summary.values())
    hours = sum(facts.hours for facts in summary.values())
    head = [
        "---",
        "pretty_name: EmoSet++ build",
        "task_categories: [audio-classification]",
        "tags: [speech-emotion-recognition]",
        "configs:",
        "- config_name: default",
        "  data_files:",
        *(f"  - {{split: {part}, path: '*/*-{part}*.parquet'}}" for part in ("train", "validation", "test")),
        "---",
        "",
        "# EmoSet++ build",
        "",
        f"{len(summary)} corpora, {utterances} utterances, {hours:.1f} hours, six classes: {', '.join(SIX_CLASSES)}.",
        "Audio is 16 kHz, one channel, FLAC. Made with exhubert from the corpora named below; cite each of them.",
        "",
    ]
    corpora = []
    for facts in summary.values():
        parts = " / ".join(str(part["utterances"]) for part in facts.partitions.values())
        rule = facts.partition_rule + _doubt(facts)
        terms = (facts.name, facts.licence, facts.redistribution)
        corpora.append((*terms, facts.utterances, facts.hours, parts, rule, facts.rejected))
    restricted = [facts.name for facts in summary.values() if facts.redistribution != "allowed"]
    warning = (
        [f"**Not to be passed on** (forbidden, or terms unknown): {', '.join(restricted)}.", ""] if restricted else []
    )
    labels = [
        (
            facts.name,
            raw,
            label["emotion"],
            f"{label['arousal']}_{label['valence']}" if label["arousal"] else "none",
            label["basis"],
            label["alternative"] or "",
        )
        for facts in summary.values()
        for raw, label in facts.label_map.items()
    ]
    titles = ("corpus", "licence", "redistribution", "utterances", "hours", "train/validation/test", "by", "set aside")
    by_class = [(name, *row) for name, row in zip(counts.index, counts.to_numpy(), strict=True)]
    lines = [
        *head,
        markdown_table(titles, corpora),
        "",
        *warning,
        "Partitions: a corpus's own where it keeps speakers apart, else 60/20/20 by speaker, balanced over classes and",
        "genders, with sessions, dialogues and recordings kept whole as far as that is possible.",
        "",
        *(f"![{name}](plots/{name}.png)" for name in ("classes", "languages", "durations")),
        "",
        markdown_table(("corpus", *counts.columns), by_class),
        "",
        *_label_notes(summary, counts),
        *_emotions(emotions),
        *_HEARING,
        *_label_maps(labels),
    ]
    return "\n".join(lines).rstrip("\n") + "\n"


def _label_maps(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """The section on the maps of the catalog; empty if no corpus has one."""
    if not rows:
        return []
    return [
        "## Label maps",
        "",
        "The paper's map was not published; only the example emotion of each class was (basis `source`).",
        "",
        markdown_table(("corpus", "raw label", "emotion", "class", "basis", "alternative"), rows),
    ]


def _emotions(counts: pd.DataFrame) -> list[str]:
    """The section on the corpora's own emotions; empty if they have none."""
    if counts.empty:
        return []
    by_emotion = [(name, labels_text(row[row > 0], len(row))) for name, row in counts.iterrows()]
    return [
        "## Emotions",
        "",
        "The corpora's own emotions in English, with all forms and synonyms of one joined. Classes are chosen when the",
        'dataset is opened: `exhubert.emoset.load(..., labels="native")` makes each emotion a class; `"four"`,',
        '`"arousal"`, `"valence"` and a YAML file of your own give others. Nothing is built again for them.',
        "",
        markdown_table(("corpus", "emotions"), by_emotion),
        "",
    ]


def _label_notes(summary: Mapping[str, BuildSummary], counts: pd.DataFrame) -> list[str]:
    """Says which utterances have no class, and which have one from ratings."""
    notes = []
    if _WITHOUT in counts:
        labels = {f"{facts.name} {name}": number for facts in summary.values() for name, number in _dropped(facts)}
        notes = [f"Kept without one of the six classes: {labels_text(labels)}.", ""] if labels else []
    rated = sum(facts.rated - facts.rated_without_scale for facts in summary.values())
    notes += [f"Class from ratings, for want of a label: {utterances_text(rated)}.", ""] if rated else []
    unscaled = sum(facts.rated_without_scale for facts in summary.values())
    return notes + ([scale_sentence(unscaled), ""] if unscaled else [])


def _dropped(facts: BuildSummary) -> list[tuple[str, int]]:
    return [(name, number) for name, number in facts.dropped_labels.items() if name]


def _doubt(facts: BuildSummary) -> str:
    """Says what is not speaker-independent."""
    if facts.speaker_independent:
        return ""
    return " (validation not speaker-independent)" if facts.independent_on("test") else " (not speaker-independent)"


def plot_class_table(counts: pd.DataFrame, path: Path, title: str) -> None:
    """Plots the utterances of each class (columns) in each corpus (rows), shaded by their share of the corpus."""
    figure = Figure(figsize=(7.2, 1.4 + 0.3 * len(counts)), layout="constrained")
    axes = figure.subplots()
    shares = counts.to_numpy() / np.maximum(counts.to_numpy().sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(counts.shape[1]), [name.replace("_", "\n") for name in counts.columns], fontsize=8)
    axes.set_yticks(range(len(counts)), counts.index, fontsize=8)
    for (row, column), share in np.ndenumerate(shares):
        colour = "white" if share > 0.55 else INK
        axes.text(column, row, str(counts.iat[row, column]), ha="center", va="center", fontsize=8, color=colour)
    axes.set_title(title, fontsize=11)
    save_figure(figure, path)


def plot_hours(hours: pd.Series, path: Path, title: str) -> None:
    """Plots hours by language as bars, the most at the top."""
    hours = hours.sort_values()
    figure = Figure(figsize=(7, 1.2 + 0.28 * len(hours)), layout="constrained")
    axes = figure.subplots()
    axes.barh(hours.index.astype(str), hours.to_numpy(), color=ACCENT)
    axes.set_xlabel("hours")
    axes.set_title(title, fontsize=11)
    save_figure(figure, path)


def plot_durations(seconds: pd.Series, path: Path, title: str) -> None:
    """Plots a histogram of durations, with a line at the 3 s crop of the paper's training."""
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    axes = figure.subplots()
    axes.hist(seconds, bins=60, color=PALE)
    axes.axvline(3.0, color=INK, linewidth=1, label="3 s")
    axes.set_xlabel("seconds")
    axes.set_ylabel("utterances")
    axes.legend()
    axes.set_title(title, fontsize=11)
    save_figure(figure, path)
