"""What the tests of this folder share."""

import pytest

from exhubert.emoset import load
from exhubert.training import (
    DataArguments,
    ModelArguments,
    SERTrainingArguments,
)


@pytest.fixture(scope="module")
def data(tone_dataset):
    return load(tone_dataset)


LABELS = ["calm", "angry", "glad"]


def settings(hubert_folder, tone_dataset, folder, **training):
    defaults = {"max_steps": 2, "per_device_train_batch_size": 4, "learning_rate": 1e-3, "warmup_steps": 0,
                "report_to": [], "disable_tqdm": True, "logging_steps": 1}  # fmt: skip
    model = training.pop("model", {})
    data = training.pop("data", {})
    return (
        ModelArguments(model=str(hubert_folder), **model),
        DataArguments(data=str(tone_dataset), max_seconds=0.4, **data),
        SERTrainingArguments(output_dir=str(folder), **(defaults | training)),
    )
