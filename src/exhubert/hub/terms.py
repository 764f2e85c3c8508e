"""Whether trained weights may be public: the licence of the model, and the terms of the corpora it learned from.

The rule. Private is always allowed, and says what stands in the way of public. Public needs

1. a licence in the card that others can use: named, not `unknown`, with a link where it is `other`, without an
   `-nd` part (it forbids passing on what was derived, and trained weights are), and the one that config.json names;
2. that every corpus trained on is known, and that the catalog says its recordings may be passed on. Whether weights may
   go where recordings may not is a question of each corpus's terms, which only a person can answer: such a corpus
   has to be accepted by name.
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
    """What decides about a model's visibility.

    Attributes:
        facts: What was found, a sentence each.
        licence: What is wrong with the model's licence, or None.
        corpora: Why each corpus stands in the way of public, by its id; `unknown` for what run.json doesn't tell.
    """

    facts: tuple[str, ...]
    licence: str | None
    corpora: Mapping[str, str]

    def objections(self, accepted: Collection[str] = ()) -> list[str]:
        """What stands in the way of public, a sentence each.

        Args:
            accepted: Corpora whose terms the user has read and which allow it.

        Raises:
            ValueError: One of `accepted` doesn't stand in the way.
        """
        if wrong := sorted(set(accepted) - set(self.corpora)):
            raise ValueError(
                f"--accept_corpora {' '.join(wrong)}: nothing of that name stands in the way of public; "
                f"expected some of: {', '.join(self.corpora) or 'none, leave the option out'}."
            )
        found = [self.licence] if self.licence else []
        return found + [why for name, why in self.corpora.items() if name not in accepted]


def terms(model: Path, card: CardData, results: Results) -> Terms:
    """What decides about the visibility of a trained model.

    Args:
        model: Its folder, with config.json and run.json.
        card: The metadata of its card.
        results: Its results.json.
    """
    config = read_json(model / "config.json")
    facts = [f"licence of the model: {card.get('license') or 'none'}"]
    trained: dict[str, str] = {}
    unknown = ""
    for folder in _lineage(model):
        run, source = Run.load(folder), str(folder / Run.file)
        named = run.corpora or run.data.get("corpora")
        if not named:
            unknown = unknown or (
                f"{source} doesn't name the corpora that were trained on, and there may have been more than were "
                "evaluated: train again with this version"
            )
            named, source = (results.corpora if folder == model else ()), "results.json"
        trained |= dict.fromkeys(named, source)
    facts += [f"trained on {name} ({_redistribution(name)}), after {source}" for name, source in trained.items()]
    base = Run.load(model).model["model"]
    if not Path(base).is_dir():
        facts.append(f"trained from {base}, which isn't on this disk: its licence and data are yours to check")
    corpora = {name: _why(name) for name in trained if _redistribution(name) != "may be passed on"}
    if unknown:
        corpora[UNKNOWN] = f"{unknown}, or, if all of them allow it, give --accept_corpora {UNKNOWN}."
    return Terms(tuple(facts), _licence_problem(card, config.get("license")), corpora)


def _lineage(model: Path) -> Iterator[Path]:
    """The folder of a run, and those of the runs its weights came from, as far as they are on this disk."""
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
    named = str(card.get("license") or UNKNOWN).lower()
    if named == UNKNOWN:
        return (
            "README.md names no licence, so nobody could use the model. Set `license` in config.json to an identifier "
            "such as cc-by-4.0 and write the card again (recipes/evaluate_model.py --card)."
        )
    if named == "other" and not card.get("license_link"):
        return "README.md has the licence `other` without `license_link`: say where its text is."
    if "nd" in named.split("-"):
        return f"The licence {named} forbids passing on what was derived, and trained weights are: choose another."
    if configured and configured.lower() != named:
        return (
            f"README.md has the licence {named}, config.json has {configured}: find out which is right, then write "
            "the card again (recipes/evaluate_model.py --card)."
        )
    return None
