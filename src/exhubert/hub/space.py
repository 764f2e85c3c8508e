"""Plans a Hugging Face Space that serves the web page of `exhubert app` for a model on the Hub."""

import sys
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import yaml

from .._version import __version__
from .upload import HubFile, Plan

_PACKAGE = Path(__file__).parents[1]
_FOLDERS = (".", "app", "conversion", "inference")  # what the page imports
_PROGRAM = '''"""The page of `exhubert app` for one model."""

from exhubert.app import serve

serve({model!r}, host="0.0.0.0", port=7860)
'''
_CARD = """# Emotion in speech

The page of `exhubert app` for the model [{model}](https://huggingface.co/{model}). The folder `exhubert` is the package
exhubert {version}, under Apache-2.0. If the model is private, the Space needs a secret `HF_TOKEN` that may read it.
"""


def plan_space(planned: Plan) -> Plan:
    """Plans a Space that serves a model, with the model's name and visibility. Sends nothing.

    The package isn't on PyPI, and a Space installs its requirements before its own files exist, so the modules that the
    page needs are uploaded next to its app.py, and the requirements are those of the package. Weights stay in the
    model's repository.

    Args:
        planned: Plan for the model, from `exhubert.hub.upload.plan`.

    Raises:
        RuntimeError: gradio isn't installed, so the version that the page was tried with is unknown.
    """
    try:
        gradio = version("gradio")
    except PackageNotFoundError as error:
        raise RuntimeError(
            "A Space pins the gradio that its page was tried with: pip install 'exhubert[app]', and try the page first."
        ) from error
    model = planned.repository
    head = {
        "title": f"Emotion in speech: {model.split('/')[1]}",
        "emoji": "🎙️",
        "colorFrom": "gray",
        "colorTo": "blue",
        "sdk": "gradio",
        "sdk_version": gradio,
        "python_version": f"{sys.version_info.major}.{sys.version_info.minor}",
        "app_file": "app.py",
        "models": [model],
    }
    front = yaml.safe_dump(head, sort_keys=False, allow_unicode=True)
    card = f"---\n{front}---\n{_CARD.format(model=model, version=__version__)}"
    requirements = [line for line in requires("exhubert") or () if "extra ==" not in line]
    generated = {
        "README.md": card,
        "app.py": _PROGRAM.format(model=model),
        "requirements.txt": "\n".join(requirements) + "\n",
    }
    modules = sorted(
        path for folder in _FOLDERS for path in (_PACKAGE / folder).iterdir() if path.suffix in (".py", ".css", ".js")
    )
    return replace(
        planned,
        kind="space",
        files=(
            *(HubFile(path, text.encode(), "made for the Space") for path, text in generated.items()),
            *(HubFile(f"exhubert/{path.relative_to(_PACKAGE).as_posix()}", path, str(path)) for path in modules),
        ),
        staying=(),
        title=f"The page of exhubert {__version__}",
    )
