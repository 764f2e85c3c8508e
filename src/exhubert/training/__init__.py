"""Fine-tuning: arguments, data, the Trainer, and the callbacks that check what the method claims."""

from .arguments import DataArguments, ModelArguments, SERTrainingArguments, parse_arguments
from .callbacks import ElapsedTimeCallback, FrozenWeightsCallback, InvariantError, ZeroInitIdentityCallback
from .collator import SpeechCollator
from .models import load_for_training
from .trainer import SERTrainer, class_weights, last_complete_checkpoint, refuse_used_folder

__all__ = [
    "DataArguments",
    "ElapsedTimeCallback",
    "FrozenWeightsCallback",
    "InvariantError",
    "ModelArguments",
    "SERTrainer",
    "SERTrainingArguments",
    "SpeechCollator",
    "ZeroInitIdentityCallback",
    "class_weights",
    "last_complete_checkpoint",
    "load_for_training",
    "parse_arguments",
    "refuse_used_folder",
]
