"""Renders model cards from the files that training and evaluation wrote; no figure is typed by hand."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from ..configuration_exhubert import ExHuBERTConfig
from ..emoset.catalog import catalog
from ..emoset.labelling.label_spaces import LabelSpace, read_space
from ..emoset.labelling.relabel import Chosen
from ..evaluation.comparison import paired_table, read_predictions
from ..evaluation.leaks import leak_text
from ..evaluation.plots import plot_gate_history, plot_gates, plot_training
from ..evaluation.report import confidence_table, figures_table, gender_text, speaker_text, uar_text
from ..evaluation.report import results as figures_of
from ..files import is_own_picture, read_json
from ..labels import SIX_CLASSES
from ..records import Results, Run
from ..targets import is_own_text, refuse_foreign, write_recorded

_PLOTS = "plots"
_PICTURES = ("confusion.png", "groups.png", "confidence.png", "training.png", "gates.png", "gate_history.png")
_PHRASE = "UAR is the unweighted average recall"  # in the cards of versions that kept no record


def write_card(
    model: str | Path,
    evaluation: str | Path,
    template: str | Path,
    comparisons: Mapping[str, str | Path] | None = None,
) -> Path:
    """Writes `README.md` and `plots/` into a trained model's folder.

    Args:
        model: Folder of the model, with the `run.json` and `trainer_state.json` that training wrote.
        evaluation: Folder that recipes/evaluate_model.py wrote.
        template: Jinja template of the card.
        comparisons: Folders of evaluations of other models on the same utterances, by their name in the table.

    Returns:
        Path of the card.

    Raises:
        FileNotFoundError: One of the files is missing; the message says which recipe writes it.
        ValueError: A comparison was made on other utterances.
        TargetError: The card exists and was edited, or it or a plot isn't ours.
    """
    check_card(model)
    model, evaluation = Path(model), Path(evaluation)
    run, results = Run.load(model), Results.load(evaluation)
    state = read_json(model / "trainer_state.json", "recipes/train.py writes it")
    config = read_json(model / "config.json", "recipes/train.py writes it")
    required = {"utterances_sha256": results.utterances_sha256, "max_seconds": results.max_seconds}
    unseen_languages = results.languages_not_trained_on
    others = {
        name: figures_of(table, results.class_names, unseen_languages=unseen_languages)
        for name, table in read_predictions(comparisons or {}, required, results.class_names).items()
    }
    history = run.invariants.get("GateReportCallback", {}).get("history")
    calibrated = bool(results.calibration)
    leak = leak_text(results.shared_speakers)
    leaks_test = bool(leak) and not results.speaker_independent

    plots = model / _PLOTS
    plots.mkdir(exist_ok=True)
    for name in ("confusion.png", "groups.png", *["confidence.png"] * calibrated):
        shutil.copy(evaluation / name, plots / name)
    plot_training(state["log_history"], plots / "training.png", "Training")
    if run.gate_norms:
        plot_gates(run.gate_norms, plots / "gates.png", "How far training opened each gate")
    if history:
        plot_gate_history(history, plots / "gate_history.png", "How training opened the gates, on one batch")

    this = _method_name(run.model)
    compared = {this: results.to_dict()} | others
    overall = {name: item["overall"] for name, item in compared.items()} | results.baselines
    unseen = {name: item["unseen_languages"] for name, item in compared.items() if item["unseen_languages"]}
    unseen |= results.baselines_unseen
    calibrations = {name: item.get("calibration") for name, item in compared.items()}
    calibrations |= {f"{name}, unseen languages": item.get("calibration_unseen") for name, item in compared.items()}
    space, notes = _label_space(run, results)
    trained_on = [catalog()[name].name if name in catalog() else name for name in run.corpora]
    card = ModelCard.from_template(
        _metadata(model, run, results, config),
        template_path=str(template),
        name=model.name,
        this=this,
        run=run,
        config=config,
        results=results,
        leak=leak,
        leaks_test=leaks_test,
        invariants=run.invariants,
        reference=_without_path(run.invariants.get("ZeroInitIdentityCallback", {}).get("reference", "")),
        comparison_table=figures_table(overall, "on known speakers" if leaks_test else "on held-out speakers"),
        paired_table=paired_table(results.paired),
        unseen_table=figures_table(unseen, "on unseen languages") if unseen else "",
        unseen_paired_table=paired_table(results.paired, "unseen_languages"),
        corpus_table=figures_table(results.by_corpus, "corpus"),
        language_table=figures_table(results.by_language, "language"),
        by_gender=gender_text(results.by_gender),
        by_speaker=speaker_text(results.by_speaker),
        confidence_table=confidence_table(calibrations, "probabilities of") if calibrated else "",
        gate_history=bool(history),
        uar=uar_text(results.overall),
        chance=100 * results.overall["chance_uar"],
        classes=results.class_names,
        trained_on=trained_on,
        label_space=space.short_name,
        label_text=" ".join([space.description, *notes]),
        six=set(results.class_names) == set(SIX_CLASSES),
    )
    path = model / "README.md"
    write_recorded(path, str(card))
    return path


def _label_space(run: Run, results: Results) -> tuple[LabelSpace, list[str]]:
    """The label space, and what it did to the utterances of training, and of evaluation if those are others."""
    labels = run.labels or results.labels
    if not labels:  # earlier versions had the six classes alone
        return read_space("six"), []
    notes = Chosen.from_dict(labels).notes()
    if results.labels and results.labels != labels:
        notes += [f"In evaluation: {note}" for note in Chosen.from_dict(results.labels).notes()]
    return read_space(labels["definition"]), notes


def check_card(model: str | Path) -> None:
    """Raises `TargetError` if `write_card` would replace a card that was edited, or a card or plot that isn't ours."""
    card = Path(model) / "README.md"
    own, remedy = is_own_text(card, _PHRASE), "Move it, or delete it."
    refuse_foreign("The model's card", card, own, remedy)
    for path in (Path(model) / _PLOTS / name for name in _PICTURES):
        refuse_foreign("The model's plots", path, own or is_own_picture(path), remedy)


def write_converted_card(
    folder: str | Path, template: str | Path, config: ExHuBERTConfig, source: str, difference: float
) -> Path:
    """Writes the card of converted published weights.

    Args:
        folder: Folder of the converted model.
        template: Jinja template of the card.
        config: Its configuration.
        source: Where the published weights were read from.
        difference: Largest measured logit difference between source and target.
    """
    data = ModelCardData(
        library_name="transformers",
        pipeline_tag="audio-classification",
        tags=["speech-emotion-recognition", "exhubert", "hubert"],
        license=config.license,
        base_model=_hub_id(config.base_checkpoint),
    )
    card = ModelCard.from_template(
        data,
        template_path=str(template),
        source=source,
        difference=difference,
        license=config.license,
        blocks=config.num_blocks,
        frozen_gates=sum(config.has_frozen_gate(block) for block in range(config.num_blocks)),
        classes=list(config.id2label.values()),
        base=config.base_checkpoint,
    )
    path = Path(folder) / "README.md"
    refuse_foreign("The converted model's card", path, is_own_text(path, "# ExHuBERT, converted"))
    card.save(path)
    return path


def _method_name(settings: Mapping[str, Any]) -> str:
    if settings["method"] == "hubert":
        if settings.get("lora_rank"):
            return "HuBERT with low-rank adapters"
        return "HuBERT with a trained head" if settings.get("freeze_encoder") else "plain HuBERT, fine-tuned"
    if not settings.get("freeze_first_copies", True):
        return "ExHuBERT with its first copies trained too"
    return "ExHuBERT" if settings.get("zero_init", True) else "ExHuBERT without zero-initialised gates"


def _metadata(model: Path, run: Run, results: Results, config: dict[str, Any]) -> ModelCardData:
    """The metadata that the Hub reads, with the figures of the model index."""
    seen_name = "synthetic demo speech" if results.synthetic else ", ".join(c["name"] for c in results.corpora.values())
    # a private corpus or the demo could share its name with another dataset on the Hub
    public = {name for name, facts in catalog().items() if facts.kind != "synthetic" and not facts.file}
    known = [name for name in run.corpora if name in public]
    return ModelCardData(
        library_name="transformers",
        pipeline_tag="audio-classification",
        tags=["speech-emotion-recognition", "exhubert", "hubert"] + (["synthetic-data"] if results.synthetic else []),
        metrics=["recall", "accuracy", "f1"],
        base_model=_hub_id(config.get("base_checkpoint")),
        datasets=known or None,
        license=config.get("license"),
        language=sorted(set(results.by_language) - {"und"}) or None,
        model_name=model.name,
        eval_results=[
            EvalResult(
                task_type="audio-classification",
                dataset_type="emoset-plus-plus",
                dataset_name=seen_name,
                dataset_split=results.partition,
                metric_type=kind,
                metric_name=name,
                metric_value=round(results.overall[key], 4),
            )
            for key, kind, name in (
                ("uar", "recall", "UAR (unweighted average recall)"),
                ("wa", "accuracy", "WA"),
                ("macro_f1", "f1", "macro-F1"),
            )
        ],
    )


def _without_path(reference: str) -> str:
    """Where the compared HuBERT came from, without local paths."""
    kind, separator, name = reference.partition("base checkpoint ")
    return kind + (
        f"base checkpoint {_hub_id(name)}" if _hub_id(name) else "the folder it was extended from" * bool(separator)
    )


def _hub_id(name: str | None) -> str | None:
    """The base model for the metadata if its name can be a hub id; None for local paths."""
    return (
        name if name and name.count("/") == 1 and not name.startswith((".", "/")) and not Path(name).exists() else None
    )
