"""Decides whether trained weights may be public, from the model's licence and the terms of the training corpora.

A private upload is always allowed, and lists the objections to a public one. A public upload needs

1. a licence in the card that others can use: named, not `unknown`, with a link if it is `other`, without an `-nd` part
   (it forbids passing on derivatives, and trained weights are one), and the same as in config.json;
2. only known training corpora whose recordings may be passed on according to the catalog. Whether weights may be
   published even if recordings may not is a question of each corpus's terms, which only a person can answer: such a
   corpus has to be accepted by name.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import CardData

from ..emoset.catalog import catalog
from ..files import read_json
from ..records import Results, Run

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Terms:
    """The facts and objections that decide about a model's visibility.

    Attributes:
        facts: Facts about licences and corpora, one sentence each.
        licence: Problem with the model's licence, or None.
        corpora: Objection to public weights by corpus id; `unknown` stands for corpora that run.json doesn't name.
    """

    facts: tuple[str, ...]
    licence: str | None
    corpora: Mapping[str, str]

    def objections(self, accepted: Collection[str] = ()) -> list[str]:
        """Objections to a public upload, one sentence each.

        Args:
            accepted: Corpora whose terms the user has read and which allow public weights.

        Raises:
            ValueError: There is no objection for one of `accepted`.
        """
        if wrong := sorted(set(accepted) - set(self.corpora)):
            raise ValueError(
                f"--accept_corpora {' '.join(wrong)}: nothing of that name stands in the way of a public upload; "
                f"expected some of: {', '.join(self.corpora) or 'none, leave the option out'}."
            )
        objections = [self.licence] if self.licence else []
        return objections + [why for name, why in self.corpora.items() if name not in accepted]


def terms(model: Path, card: CardData, results: Results) -> Terms:
    """Collects what decides about the visibility of a trained model.

    Args:
        model: Folder of the model, with config.json and run.json.
        card: Metadata of its card.
        results: Results of its evaluation.
    """
    config = read_json(model / "config.json")
    facts = [f"licence of the model: {card.get('license') or 'none'}"]
    sources: dict[str, str] = {}
    unknown = ""
    for folder in _lineage(model):
        run, source = Run.load(folder), str(folder / Run.file)
        names = run.corpora or run.data.get("corpora")
        if not names:
            unknown = unknown or (
                f"{source} doesn't name the corpora that were trained on, and there may have been more than were "
                "evaluated: train again with this version"
            )
            names, source = (results.corpora if folder == model else ()), "results.json"
        sources |= dict.fromkeys(names, source)
    facts += [f"trained on {name} ({_redistribution(name)}), after {source}" for name, source in sources.items()]
    base = Run.load(model).model["model"]
    if not Path(base).is_dir():
        facts.append(f"trained from {base}, which isn't on this disk: its licence and data are yours to check")
    corpora = {name: _why(name) for name in sources if _redistribution(name) != "may be passed on"}
    if unknown:
        corpora[UNKNOWN] = f"{unknown}, or, if all of them allow it, give --accept_corpora {UNKNOWN}."
    return Terms(tuple(facts), _licence_problem(card, config.get("license")), corpora)


def _lineage(model: Path) -> Iterator[Path]:
    """The folder of a run, and those of the runs its weights came from, if they are on this disk."""
    waiting, seen = [model], set()
    while waiting:
        folder = waiting.pop()
        if folder.resolve() in seen or not (folder / "config.json").is_file():
            continue
        seen.add(folder.resolve())
        origins = [read_json(folder / "config.json").get("base_checkpoint")]
        if (folder / Run.file).is_file():
            origins.append(Run.load(folder).model["model"])
            yield folder
        waiting += [Path(origin) for origin in origins if origin]


def _redistribution(corpus: str) -> str:
    if corpus not in catalog():
        return "not in the catalog"
    return {"allowed": "may be passed on", "forbidden": "may not be passed on"}.get(
        catalog()[corpus].redistribution, "nobody knows whether it may be passed on"
    )


def _why(corpus: str) -> str:
    licence = f"; licence: {catalog()[corpus].licence}" if corpus in catalog() else ""
    return (
        f"It was trained on {corpus}, whose recordings the catalog doesn't allow to pass on ({_redistribution(corpus)}"
        f"{licence}). If its terms allow public weights, give --accept_corpora {corpus}."
    )


def _licence_problem(card: CardData, configured: str | None) -> str | None:
    licence = str(card.get("license") or UNKNOWN).lower()
    if licence == UNKNOWN:
        return (
            "README.md names no licence, so nobody could use the model. Set `license` in config.json to an identifier "
            "such as cc-by-4.0 and write the card again (recipes/evaluate_model.py --card)."
        )
    if licence == "other" and not card.get("license_link"):
        return "README.md has the licence `other` without `license_link`: say where its text is."
    if "nd" in licence.split("-"):
        return f"The licence {licence} forbids passing on what was derived, and trained weights are: choose another."
    if configured and configured.lower() != licence:
        return (
            f"README.md has the licence {licence}, config.json has {configured}: find out which is right, then write "
            "the card again (recipes/evaluate_model.py --card)."
        )
    return None
