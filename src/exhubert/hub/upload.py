"""Plans which files of a trained model go to the Hugging Face Hub, and uploads them as one commit."""

import contextlib
import fnmatch
import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    EvalResultEntry,
    HfApi,
    ModelCard,
    eval_result_entries_to_yaml,
    get_session,
)
from huggingface_hub.errors import HTTPError
from huggingface_hub.utils import validate_repo_id

from ..configuration_exhubert import ExHuBERTConfig
from ..files import read_json
from ..records import Results, Run
from .terms import Terms, terms

CODE = ("configuration_exhubert.py", "modeling_exhubert.py", "pipeline_exhubert.py", "audio.py")
RESULTS = "evaluation/results.json"
EVAL_RESULTS = ".eval_results/exhubert.yaml"
_INDEX = "model.safetensors.index.json"
# Files that an earlier push may have left in the repository. A push without them deletes them, because transformers
# would prefer an old model.safetensors to new shards.
_OURS = {
    "model": ("model*.safetensors", _INDEX, "plots/*.png", EVAL_RESULTS),
    "space": ("exhubert/*",),
}


@dataclass(frozen=True)
class HubFile:
    """One file to upload.

    Attributes:
        path: Its path in the repository.
        content: The file on disk, or its bytes if it is generated for the Hub.
        source: Description of where it comes from.
    """

    path: str
    content: Path | bytes
    source: str

    @property
    def size(self) -> int:
        """Size in bytes."""
        return self.content.stat().st_size if isinstance(self.content, Path) else len(self.content)


@dataclass(frozen=True)
class Plan:
    """The contents and visibility of an upload, as created by `plan`.

    Attributes:
        repository: `owner/name`.
        public: Whether the repository is public.
        files: Files to upload, sorted by path.
        staying: Names of files in the model's and the evaluation's folder that aren't uploaded.
        terms: The terms that decide about the visibility.
        accepted: Corpora whose terms the user has accepted.
        title: Commit message.
        kind: Type of the repository, `model` or `space`.
    """

    repository: str
    public: bool
    files: tuple[HubFile, ...]
    staying: tuple[str, ...]
    terms: Terms
    accepted: tuple[str, ...]
    title: str
    kind: str = "model"

    def refuse_unless_allowed(self) -> None:
        """Raises `PermissionError` if the plan is public and there are objections, which the message names."""
        if self.public and (objections := self.terms.objections(self.accepted)):
            raise PermissionError(
                f"{self.repository} can't be public, and nothing was sent. {' '.join(objections)} "
                "Without --public it goes to a private repository."
            )

    def __str__(self) -> str:
        width = max(len(file.path) for file in self.files)
        place = self.repository if self.kind == "model" else f"{self.kind}s/{self.repository}"
        lines = [f"to {HfApi().endpoint}/{place}, {'public' if self.public else 'private'}"]
        lines.append(f"{'path in the repository':<{width}}  {'bytes':>13}  from")
        lines += [f"{file.path:<{width}}  {file.size:>13,}  {file.source}" for file in self.files]
        lines.append(f"{len(self.files)} files, {sum(file.size for file in self.files) / 1e6:,.1f} MB")
        if self.staying:
            lines.append(f"stays here: {', '.join(self.staying)}")
        lines += self.terms.facts
        objections = self.terms.objections(self.accepted)
        lines += [f"against public: {objection}" for objection in objections] or ["against public: nothing"]
        if self.accepted:
            lines.append(f"accepted by you: {', '.join(self.accepted)}")
        return "\n".join(lines)


def plan(
    model: str | Path,
    repository: str,
    evaluation: str | Path | None = None,
    public: bool = False,
    accepted: Collection[str] = (),
    benchmark: str | None = None,
) -> Plan:
    """Plans the upload of a trained and evaluated model. Sends nothing and needs no network.

    Weights, configuration, code, feature extractor, card, plots, the run's records and the evaluation's figures are
    uploaded. Checkpoints, optimizer states and pickles such as training_args.bin aren't, nor are predictions, which
    name the utterances and speakers of corpora. Local paths in the uploaded records are cut down to their last part.

    Args:
        model: Folder of the model that recipes/train.py wrote.
        repository: `owner/name` on the Hub.
        evaluation: Folder that recipes/evaluate_model.py wrote; by default `evaluation` in the model's folder.
        public: Whether the repository is public.
        accepted: Corpora whose terms the user has read and which allow public weights.
        benchmark: `owner/dataset:task` if the evaluated data is a benchmark on the Hub: the UAR is then also uploaded
            in the format that its leaderboard reads.

    Raises:
        FileNotFoundError: A file is missing; the message says what writes it.
        ValueError: The card belongs to another evaluation or can't be read, or an argument is wrong.
    """
    model = Path(model)
    evaluation = Path(evaluation) if evaluation else model / "evaluation"
    validate_repo_id(repository)
    if repository.count("/") != 1:
        raise ValueError(f"The repository is {repository!r}, expected owner/name.")
    weights = _weights(model)
    config = read_json(model / "config.json", "recipes/train.py writes it")
    run = Run.load(model)
    read_json(model / "trainer_state.json", "recipes/train.py writes it")
    read_json(model / "preprocessor_config.json", "recipes/train.py writes it")
    try:
        results = Results.load(evaluation)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error} Give its --output as --evaluation.") from error
    card = _card(model / "README.md", results)

    code = _code(model, config)
    plots = sorted(f"plots/{path.name}" for path in (model / "plots").glob("*.png"))
    records = ("config.json", "preprocessor_config.json", "run.json", "trainer_state.json")
    files = [HubFile(name, model / name, str(model / name)) for name in ("README.md", *weights, *code, *plots)]
    files += [_record(name, model / name) for name in records]
    files.append(_record(RESULTS, evaluation / "results.json"))
    if benchmark:
        content = _eval_results(results, benchmark, f"{HfApi().endpoint}/{repository}/blob/main/{RESULTS}")
        files.append(HubFile(EVAL_RESULTS, content, f"made of {evaluation / 'results.json'}"))
    files.sort(key=lambda file: file.path)
    considered = {file.content for file in files} | {model / name for name in records} | {evaluation / "results.json"}
    # the evaluation's plots are copies of those in the model's folder
    considered |= {evaluation / Path(name).name for name in plots} | {evaluation, model / "plots"}
    staying = [path for path in [*model.iterdir(), *evaluation.iterdir()] if path not in considered]
    visibility = terms(model, card.data, results)
    visibility.objections(accepted)
    return Plan(
        repository=repository,
        public=public,
        files=tuple(files),
        staying=tuple(sorted({path.name + "/" * path.is_dir() for path in staying})),
        terms=visibility,
        accepted=tuple(accepted),
        title=f"{model.resolve().name}, trained with exhubert {run.versions['exhubert']}",
    )


def push(planned: Plan) -> str:
    """Uploads the planned files as one commit, and returns the commit's address.

    The token comes from `hf auth login` or `HF_TOKEN`, and is only sent to the Hub's own host.

    Args:
        planned: From `plan`.

    Raises:
        PermissionError: The model may not be public, or the repository exists with the other visibility.
        ValueError: The Hub rejects the card's metadata, or HF_ENDPOINT isn't an https address.
        OSError: There is no token, or the Hub can't be reached or refuses the upload.
    """
    planned.refuse_unless_allowed()
    api = HfApi(token=True)
    scheme, host, _ = _origin(api.endpoint)
    if scheme != "https" and host not in ("localhost", "127.0.0.1", "::1"):
        raise ValueError(f"HF_ENDPOINT is {api.endpoint}: the token would be sent unencrypted. Give an https address.")
    with _token_only_for(api.endpoint):
        try:
            return _send(api, planned)
        except HTTPError as error:
            if isinstance(error, OSError):  # already has the Hub's message
                raise
            raise ConnectionError(
                f"{api.endpoint} can't be reached ({error}). Check the network and HF_ENDPOINT, and push again: "
                "nothing appears before the commit, and large files that arrived aren't sent again."
            ) from error


def _send(api: HfApi, planned: Plan) -> str:
    kind = planned.kind
    sdk = "gradio" if kind == "space" else None
    api.create_repo(planned.repository, repo_type=kind, space_sdk=sdk, private=not planned.public, exist_ok=True)
    info: Any = api.repo_info(planned.repository, repo_type=kind)
    if bool(info.private) is planned.public:
        actual, requested = ("private", "public") if info.private else ("public", "private")
        raise PermissionError(
            f"{planned.repository} already exists and is {actual}, but {requested} was requested: "
            f"{'drop' if info.private else 'add'} --public, change the repository's settings, or choose another "
            "name. No file was sent."
        )
    new = {file.path for file in planned.files}
    old = [sibling.rfilename for sibling in info.siblings or () if sibling.rfilename not in new]
    commit = api.create_commit(
        planned.repository,
        operations=[
            *(CommitOperationAdd(path_in_repo=file.path, path_or_fileobj=file.content) for file in planned.files),
            *(
                CommitOperationDelete(name)
                for name in old
                if any(fnmatch.fnmatch(name, pattern) for pattern in _OURS[kind])
            ),
        ],
        repo_type=kind,
        commit_message=planned.title,
    )
    return commit.commit_url


@contextlib.contextmanager
def _token_only_for(endpoint: str) -> Iterator[None]:
    """Removes the token from every request to another host, wherever redirects and upload addresses point."""

    def guard(request) -> None:
        if _origin(str(request.url)) != _origin(endpoint):
            request.headers.pop("authorization", None)

    client = get_session()
    hooks = client.event_hooks
    client.event_hooks = {**hooks, "request": [*hooks["request"], guard]}
    try:
        yield
    finally:
        client.event_hooks = hooks


def _origin(address: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(address)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _weights(model: Path) -> list[str]:
    """Names of the weight files, after a check that none is missing."""
    if not model.is_dir():
        raise FileNotFoundError(f"{model} is not a folder; give the folder of a trained model.")
    if (model / "model.safetensors").is_file():
        return ["model.safetensors"]
    index = read_json(model / _INDEX, "nor is there a model.safetensors; recipes/train.py writes one of them")
    shards = sorted(set(index["weight_map"].values()))
    if missing := [name for name in shards if not (model / name).is_file()]:
        raise FileNotFoundError(f"{model / _INDEX} names {', '.join(missing)}, which is missing: save the model again.")
    return [_INDEX, *shards]


def _code(model: Path, config: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the files that load the model without exhubert installed; empty for a plain HuBERT."""
    if config.get("model_type") != ExHuBERTConfig.model_type:
        return ()
    from transformers.dynamic_module_utils import get_relative_import_files

    if "auto_map" in config and all((model / name).is_file() for name in CODE):
        with contextlib.suppress(FileNotFoundError):  # raised for a file that another one imports
            imported = get_relative_import_files(model / "pipeline_exhubert.py")
            return (*CODE, *sorted({Path(path).name for path in imported} - set(CODE)))
    raise FileNotFoundError(
        f"{model} lacks {' or '.join(CODE)}, or `auto_map` in config.json: without exhubert nobody could load it. "
        "Load the model and save it again with save_pretrained, which writes them."
    )


def _card(path: Path, results: Results) -> ModelCard:
    """Loads the card, and checks that it reports these results."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; recipes/evaluate_model.py --card writes it.")
    try:
        card = ModelCard.load(path)
    except (ValueError, yaml.YAMLError) as error:
        raise ValueError(f"{path}: its metadata can't be read, write it again ({error}).") from error
    uar = round(results.overall["uar"], 4)
    shown = [entry.metric_value for entry in card.data.eval_results or () if entry.metric_type == "recall"]
    if uar not in shown:
        raise ValueError(
            f"{path} has the UAR {', '.join(map(str, shown)) or 'nowhere in its metadata'}, results.json has {uar}: "
            "they come from different evaluations. Write the card again (recipes/evaluate_model.py --card)."
        )
    return card


def _record(path: str, file: Path) -> HubFile:
    """A JSON file to upload, with local paths cut down to their last part."""
    text = file.read_text(encoding="utf-8")
    values = json.loads(text)
    cut = _without_folders(values)
    if cut == values:
        return HubFile(path, file, str(file))
    return HubFile(path, (json.dumps(cut, indent=2) + "\n").encode(), f"{file}, paths cut to their last part")


def _without_folders(value: Any) -> Any:
    """Cuts every local path down to its last part; names of hub repositories stay."""
    if isinstance(value, dict):
        return {key: _without_folders(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_folders(item) for item in value]
    if not isinstance(value, str):
        return value
    if Path(value).is_absolute() or ("/" in value and Path(value).exists()):
        return Path(value).name
    return re.sub(r"(?<!\S)(?:~|\.{1,2})?/\S+", lambda match: Path(match[0]).name, value)


def _eval_results(results: Results, benchmark: str, source: str) -> bytes:
    """The UAR in the format of `.eval_results/`, see https://huggingface.co/docs/hub/eval-results."""
    dataset, _, task = benchmark.partition(":")
    if dataset.count("/") != 1 or not task:
        raise ValueError(
            f"--benchmark {benchmark}: expected owner/dataset:task, the task as in the dataset's eval.yaml."
        )
    figures = results.overall
    entry = EvalResultEntry(
        dataset_id=dataset,
        task_id=task,
        value=round(figures["uar"], 4),
        source_url=source,
        source_name="results.json",
        notes=f"UAR on {figures['utterances']} utterances of the {results.partition} partition"
        + ("; synthetic demo speech" if results.synthetic else "")
        + ("" if results.speaker_independent else "; not speaker-independent"),
    )
    return yaml.safe_dump(eval_result_entries_to_yaml([entry]), sort_keys=False).encode()
