"""Terms: which models may be public, by their licence and by the corpora they learned from."""

import contextlib
import json
import shutil

import huggingface_hub
import pytest

from exhubert.hub.upload import plan, push

from ..conftest import load_recipe
from .conftest import edit, whole


def test_a_corpus_that_may_not_be_passed_on_keeps_a_model_private_until_it_is_accepted(model, here, capsys):
    edit(model / "run.json", corpora=["emo_db", "iemocap"])
    recipe = load_recipe("push_to_hub").main
    for mode in ([], ["--dry-run"]):
        with pytest.raises(
            PermissionError, match=r"trained on iemocap.*IEMOCAP release form.*--accept_corpora iemocap"
        ):
            recipe([str(model), "me/model", "--public", *mode])
    with pytest.raises(PermissionError, match="nothing was sent"):
        push(plan(model, "me/model", public=True))
    assert not here.seen, "nothing is asked of the Hub before the terms are clear"
    assert "trained on emo_db (may be passed on)" in capsys.readouterr().out

    recipe([str(model), "me/private"])
    assert here.repositories["me/private"].private
    assert "against public: It was trained on iemocap" in capsys.readouterr().out

    recipe([str(model), "me/public", "--public", "--accept_corpora", "iemocap"])
    assert not here.repositories["me/public"].private and set(here.repositories["me/public"].files) == whole(model)
    with pytest.raises(ValueError, match="--accept_corpora emo_db: nothing of that name stands in the way"):
        recipe([str(model), "me/public", "--public", "--accept_corpora", "emo_db"])


def test_corpora_nobody_knows_of_keep_a_model_private(model, finished):
    run = json.loads((model / "run.json").read_text())
    for corpora, objection in (
        (["own"], "trained on own.*not in the catalog"),
        (["cve"], "trained on cve.*nobody knows whether it may be passed on"),
        (None, "run.json doesn't name the corpora that were trained on"),
    ):
        edit(model / "run.json", corpora=corpora, data=run["data"] | {"corpora": None})
        with pytest.raises(PermissionError, match=objection):
            plan(model, "me/model", public=True).refuse_unless_allowed()
    accepted = ["own", "unknown"]  # the one that was evaluated, and whatever else there may have been
    plan(model, "me/model", public=True, accepted=accepted).refuse_unless_allowed()


def test_corpora_of_the_run_a_model_started_from_count_too(model, finished, tmp_path):
    shutil.copytree(finished, tmp_path / "first")
    edit(tmp_path / "first" / "run.json", corpora=["meld", "iemocap"])
    (tmp_path / "extended").mkdir()
    came_from = {"model_type": "exhubert", "base_checkpoint": str(tmp_path / "first")}
    (tmp_path / "extended" / "config.json").write_text(json.dumps(came_from))
    settings = json.loads((model / "run.json").read_text())["model"]
    edit(model / "run.json", model=settings | {"model": str(tmp_path / "extended")})
    with pytest.raises(PermissionError, match="trained on iemocap"):
        plan(model, "me/model", public=True).refuse_unless_allowed()


@pytest.mark.parametrize(
    ("in_card", "in_config", "objection"),
    [
        (None, None, "names no licence"),
        ("unknown", None, "names no licence"),
        ("other", None, "without `license_link`"),
        ("cc-by-nc-nd-4.0", None, "forbids passing on what was derived"),
        ("mit", "cc-by-nc-sa-4.0", "README.md has the licence mit, config.json has cc-by-nc-sa-4.0"),
        ("cc-by-nc-sa-4.0", "cc-by-nc-sa-4.0", None),
    ],
)
def test_public_needs_a_licence_that_others_can_use(model, in_card, in_config, objection):
    edit(model / "config.json", license=in_config)
    card = huggingface_hub.ModelCard.load(model / "README.md")
    card.data.license = in_card
    card.save(model / "README.md")
    planned = plan(model, "me/model", public=True)
    expected = contextlib.nullcontext() if objection is None else pytest.raises(PermissionError, match=objection)
    with expected:
        planned.refuse_unless_allowed()
    plan(model, "me/model").refuse_unless_allowed()
