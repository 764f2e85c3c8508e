"""Importing the package is cheap, and registers the model in whatever order things are imported."""

import subprocess
import sys

import pytest

REGISTERED = """
from transformers import AutoConfig, AutoModelForAudioClassification
from transformers.pipelines import PIPELINE_REGISTRY
config = AutoConfig.for_model("exhubert")
print(AutoModelForAudioClassification._model_mapping[type(config)].__name__)
print(PIPELINE_REGISTRY.supported_tasks["audio-classification"]["impl"])
"""


def run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_importing_the_package_imports_no_large_library():
    names = "('torch', 'transformers', 'datasets', 'evaluate', 'matplotlib', 'pandas')"
    assert run(f"import sys, exhubert; print(*[name for name in {names} if name in sys.modules])") == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "first",
    [
        "import exhubert",
        "import transformers, exhubert",
        "import transformers.pipelines, exhubert",
        "import exhubert, datasets, accelerate",
        "from exhubert import ExHuBERTConfig",
        "import exhubert.configuration_exhubert",
        "import exhubert.modeling_exhubert",
        "import exhubert.pipeline_exhubert",
        "import exhubert.conversion.loading",
    ],
)
def test_the_model_is_registered_whatever_is_imported_first(first):
    assert run(first + REGISTERED) == [
        "ExHuBERTForSequenceClassification",
        "exhubert.pipeline_exhubert.AudioClassification",
    ]


def test_the_former_name_of_the_kernels_still_works():
    import exhubert

    assert exhubert.kernels is exhubert.cpu


def test_every_public_name_of_the_lazy_packages_exists_and_is_no_module():
    import types

    import exhubert
    from exhubert import annotate, emoset, inference

    for package in (exhubert, annotate, emoset, inference):
        for name in package.__all__:
            assert not isinstance(getattr(package, name), types.ModuleType), f"{package.__name__}.{name}"
