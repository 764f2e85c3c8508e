"""Fine-tuning of emotion classifiers: arguments, Trainer, and callbacks that check the method's invariants."""

from ..emoset.batches import SpeechCollator
from .arguments import DataArguments, ModelArguments, SERTrainingArguments, parse_arguments
from .callbacks import (
    DisjointSpeakersCallback,
    ElapsedTimeCallback,
    FrozenWeightsCallback,
    GateReportCallback,
    InvariantError,
    ZeroInitIdentityCallback,
)
from .checkpoints import last_complete_checkpoint, refuse_used_folder
from .fine_tune import fine_tune
from .model import load_for_training
from .trainer import SERTrainer, class_weights

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
