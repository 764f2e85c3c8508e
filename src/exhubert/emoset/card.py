"""Tables, plots and a dataset card of a built dataset, all from its own files."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from ..evaluation.plots import plot_class_table, plot_durations, plot_hours
from ..labels import SIX_CLASSES

_COLUMNS = ["corpus", "label", "language", "duration"]


def write_statistics(folder: str | Path) -> Path:
    """Writes `README.md` (the dataset card), `statistics.csv` and `plots/` into a built dataset and returns the card.

    Raises:
        FileNotFoundError: The folder holds no finished dataset.
    """
    folder = Path(folder)
    if not (folder / "summary.json").is_file():
        raise FileNotFoundError(f"{folder} holds no finished dataset; build it first.")
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    rows = pd.concat(
        pq.read_table(path, columns=_COLUMNS).to_pandas()
        for corpus in summary
        for path in sorted((folder / corpus).glob("*.parquet"))
    )
    rows["class"] = [SIX_CLASSES[label] for label in rows["label"]]
    counts = pd.crosstab(rows["corpus"], rows["class"]).reindex(columns=list(SIX_CLASSES), fill_value=0)
    counts.to_csv(folder / "statistics.csv")
    plots = folder / "plots"
    plot_class_table(counts, plots / "classes.png", "Utterances by corpus and class")
    plot_hours(rows.groupby("language")["duration"].sum() / 3600, plots / "languages.png", "Hours by language")
    plot_durations(rows["duration"], plots / "durations.png", "Duration of utterances")
    card = folder / "README.md"
    card.write_text(_card(summary, counts), encoding="utf-8")
    return card


def _card(summary: dict[str, Any], counts: pd.DataFrame) -> str:
    utterances = sum(facts["utterances"] for facts in summary.values())
    hours = sum(facts["hours"] for facts in summary.values())
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
        parts = " / ".join(str(part["utterances"]) for part in facts["partitions"].values())
        rule = facts["partition_rule"] + ("" if facts["speaker_independent"] else " (not speaker-independent)")
        terms = (facts["name"], facts["licence"], facts["redistribution"])
        corpora.append((*terms, facts["utterances"], facts["hours"], parts, rule, facts["rejected"]))
    refused = [facts["name"] for facts in summary.values() if facts["redistribution"] != "allowed"]
    warning = [f"**Not to be passed on** (forbidden, or terms unknown): {', '.join(refused)}.", ""] if refused else []
    labels = [
        (
            facts["name"],
            raw,
            label["emotion"],
            f"{label['arousal']}_{label['valence']}" if label["arousal"] else "dropped",
            label["basis"],
            label["alternative"] or "",
        )
        for facts in summary.values()
        for raw, label in facts["label_map"].items()
    ]
    titles = ("corpus", "licence", "redistribution", "utterances", "hours", "train/validation/test", "by", "set aside")
    by_class = [(name, *row) for name, row in zip(counts.index, counts.to_numpy(), strict=True)]
    lines = [
        *head,
        *_table(titles, corpora),
        "",
        *warning,
        "Partitions: a corpus's own where it keeps speakers apart, else 60/20/20 by speaker, balanced over classes.",
        "",
        *(f"![{name}](plots/{name}.png)" for name in ("classes", "languages", "durations")),
        "",
        *_table(("corpus", *counts.columns), by_class),
        "",
        "## Label maps",
        "",
        "The paper's map was not published; only the example emotion of each class was (basis `source`).",
        "",
        *_table(("corpus", "raw label", "emotion", "class", "basis", "alternative"), labels),
    ]
    return "\n".join(lines) + "\n"


def _table(titles: tuple[str, ...], rows: list[tuple[Any, ...]]) -> list[str]:
    return ["| " + " | ".join(map(str, row)) + " |" for row in (titles, ["---"] * len(titles), *rows)]
