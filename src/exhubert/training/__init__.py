"""Fine-tuning: arguments, data, the Trainer, and the callbacks that check what the method claims."""

from .arguments import DataArguments, ModelArguments, SERTrainingArguments, parse_arguments
from .callbacks import (
    DisjointSpeakersCallback,
    ElapsedTimeCallback,
    FrozenWeightsCallback,
    GateReportCallback,
    InvariantError,
    ZeroInitIdentityCallback,
)
from ..emoset.batches import SpeechCollator
from .model import load_for_training
from .fine_tune import fine_tune
from .trainer import SERTrainer, class_weights, last_complete_checkpoint, refuse_used_folder

__all__ = [
    "DataArguments",
    "DisjointSpeakersCallback",
    "ElapsedTimeCallback",
    "FrozenWeightsCallback",
    "GateReportCallback",
    "InvariantError",
    "ModelArguments",
    "SERTrainer",
    "SERTrainingArguments",
    "SpeechCollator",
    "ZeroInitIdentityCallback",
    "class_weights",
    "fine_tune",
    "last_complete_checkpoint",
    "load_for_training",
    "parse_arguments",
    "refuse_used_folder",
]
