"""Uploads a built dataset to the Hugging Face Hub if the licence of every corpus in it allows that."""

from pathlib import Path

from ..emoset.card import write_statistics
from ..emoset.dataset import HASHES
from ..records import BuildSummary


def refuse_unless_allowed(folder: str | Path) -> None:
    """Raises `PermissionError` if a corpus in the dataset may not be passed on; it names each with its licence."""
    summaries = BuildSummary.load_all(folder)
    refused = {name: facts for name, facts in summaries.items() if facts.redistribution != "allowed"}
    if refused:
        names = "; ".join(f"{name} ({facts.licence})" for name, facts in refused.items())
        raise PermissionError(
            f"{folder} is not pushed: these corpora may not be passed on, or nobody knows whether they may: {names}. "
            "Build a dataset without them."
        )


def push(folder: str | Path, repository: str, private: bool = True) -> str:
    """Uploads a built dataset with its card, and returns its address.

    Args:
        folder: The dataset.
        repository: `owner/name` of a dataset repository, created if it doesn't exist.
        private: Whether a new repository is private.

    Raises:
        PermissionError: A licence in the dataset forbids it; see `refuse_unless_allowed`.
        FileNotFoundError: The folder holds no finished dataset.
    """
    from huggingface_hub import HfApi

    refuse_unless_allowed(folder)
    write_statistics(folder)
    api = HfApi()
    api.create_repo(repository, repo_type="dataset", private=private, exist_ok=True)
    ignored = ["*.incomplete/*", ".cache/*", ".lock", ".exhubert*", f"*/{HASHES}"]
    return str(api.upload_folder(repo_id=repository, repo_type="dataset", folder_path=folder, ignore_patterns=ignored))
