"""Wraps an exported ONNX model in the interface of a torch model, so that pipeline and evaluation can run it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig

from ..files import read_json

EXPORTED = "model.onnx"


@dataclass
class OnnxOutput:
    """Holds `logits` `(batch, labels)` and `embedding` `(batch, hidden)`, the mean last hidden state over frames."""

    logits: torch.Tensor
    embedding: torch.Tensor


class OnnxModel:
    """An exported classifier that is called like the torch model it was exported from.

    Args:
        folder: Folder written by `exhubert export`. The session uses as many threads as torch.

    Raises:
        ValueError: onnxruntime isn't installed.
        OSError: The folder is incomplete.
    """

    def __init__(self, folder: str | Path):
        try:
            import onnxruntime
        except ImportError as error:
            raise ValueError("An exported model needs onnxruntime: pip install 'exhubert[onnx]'.") from error
        self.config = AutoConfig.from_pretrained(folder)
        self.name_or_path = str(folder)
        self.device, self.dtype = torch.device("cpu"), torch.float32
        report = Path(folder) / "export.json"
        # int8 activations are scaled over the whole batch, so a clip's result would depend on the other clips
        self._one_by_one = report.is_file() and read_json(report)["int8"]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        self.session = onnxruntime.InferenceSession(
            str(Path(folder) / EXPORTED), options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, input_values: torch.Tensor, attention_mask: torch.Tensor | None = None, **_: Any) -> OnnxOutput:
        """Runs a batch `(batch, samples)`; `attention_mask` is 1 on speech and 0 on padding."""
        mask = torch.ones_like(input_values) if attention_mask is None else attention_mask
        if self._one_by_one and len(input_values) > 1:
            lengths = mask.sum(dim=1).long().tolist()
            rows = [self(input_values[row : row + 1, :length]) for row, length in enumerate(lengths)]
            return OnnxOutput(torch.cat([row.logits for row in rows]), torch.cat([row.embedding for row in rows]))
        inputs = {"input_values": input_values.float().cpu().numpy(), "attention_mask": mask.long().cpu().numpy()}
        return OnnxOutput(*map(torch.from_numpy, self.session.run(None, inputs)))

    def to(self, *_: Any, **__: Any) -> "OnnxModel":
        """Does nothing: an ONNX model stays on the CPU in fp32."""
        return self

    def eval(self) -> "OnnxModel":
        """Does nothing: an ONNX model is never in training mode."""
        return self

    def can_generate(self) -> bool:
        return False


def is_exported(model: str | Path) -> bool:
    """Whether a folder was written by `exhubert export`."""
    return (Path(model) / EXPORTED).is_file()
