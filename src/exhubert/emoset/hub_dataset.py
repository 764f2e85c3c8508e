"""Downloads datasets from the Hugging Face hub, where the network is allowed."""

import re
from pathlib import Path

HUB = "hf://"
_ID = re.compile(r"[\w.-]+/[\w.-]+")
_FILES = ("*.parquet", "*.arrow", "*.feather", "*.json", "README.md")


def is_hub_dataset(place: str | Path) -> bool:
    """Whether a place is a dataset of the hub: `hf://owner/name`, or `owner/name` if there is no folder `owner`."""
    name = str(place)
    if name.startswith(HUB):
        return True
    path = Path(name)
    return isinstance(place, str) and bool(_ID.fullmatch(name)) and not path.exists() and not path.parent.exists()


def local_folder(place: str | Path) -> Path:
    """Returns the folder of a corpus; a dataset of the hub is downloaded into the cache of huggingface_hub first.

    Args:
        place: A folder, or `hf://owner/name[@revision]`; `owner/name` too, if there is no such folder. Only parquet and
            Arrow files and descriptions are downloaded; what the cache has isn't downloaded again, and an interrupted
            download goes on. With `HF_HUB_OFFLINE=1` only the cache is read.

    Raises:
        FileNotFoundError: There is no such dataset, or it can't be reached and isn't in the cache.
        ValueError: It holds no parquet or Arrow files, or the name isn't one of a dataset.
        PermissionError: Its terms must be accepted on the hub first.
    """
    if not is_hub_dataset(place):
        return Path(place)
    # slow to import, and most corpora are folders
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )
    from huggingface_hub.utils import httpx

    name, _, revision = str(place).removeprefix(HUB).removeprefix("datasets/").partition("@")
    if not _ID.fullmatch(name):
        raise ValueError(f"{place}: expected {HUB}owner/name, with @revision behind it if need be.")
    page = f"https://huggingface.co/datasets/{name}"
    try:
        folder = Path(
            snapshot_download(name, repo_type="dataset", revision=revision or None, allow_patterns=list(_FILES))
        )
    except GatedRepoError as error:
        raise PermissionError(
            f"{name}: its terms must be accepted first: do so on {page}, and log in with `hf auth login`."
        ) from error
    except RevisionNotFoundError as error:
        raise FileNotFoundError(f"{name} has no revision {revision}; see {page}.") from error
    except RepositoryNotFoundError as error:
        raise FileNotFoundError(
            f"There is neither a folder {name} nor such a dataset on the hub, or it is private: log in with "
            "`hf auth login`."
        ) from error
    except (LocalEntryNotFoundError, OfflineModeIsEnabled) as error:
        raise FileNotFoundError(
            f"There is no folder {name}, and no dataset of this name in the cache of the hub. To download it, connect "
            "to the network and unset HF_HUB_OFFLINE."
        ) from error
    except (HfHubHTTPError, HFValidationError) as error:
        raise ValueError(f"{name}: the hub refused the download ({str(error).splitlines()[0]}).") from error
    except httpx.HTTPError as error:
        raise ConnectionError(f"{name}: the download broke off ({error}). Run this again to go on with it.") from error
    if not any(path.suffix.lower() in (".parquet", ".arrow", ".feather") for path in folder.rglob("*")):
        raise ValueError(
            f"{name} holds no parquet or Arrow files. The hub converts many datasets: try "
            f"{HUB}{name}@refs/convert/parquet."
        )
    return folder
