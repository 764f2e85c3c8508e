"""Exports a classifier as ONNX, in 8 bits, folded or pruned, and measures what each step changes."""

import contextlib
import json
import logging
import shutil
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm

from ..audio_windows import heard_windows
from ..configuration_exhubert import is_regression, samples_per_frame, window_seconds
from ..conversion.folding import added_shares, fold
from ..conversion.identity import align, signal_like_speech
from ..conversion.loading import feature_extractor_of, load_classifier
from ..conversion.session import EXPORTED, OnnxModel
from ..evaluation.metrics import uar
from ..files import write_json
from ..modeling_exhubert import ExHuBERTForSequenceClassification
from ..targets import check_model_target, model_folder

FORMATS = ("onnx", "safetensors")
_INLINE_LIMIT = 1_500_000_000  # bytes; one file of ONNX holds less than 2 GB


def export(
    model: str | Path,
    output: str | Path,
    format: str = "onnx",
    folded: bool = False,
    prune: float | None = None,
    int8: bool = False,
    clips: Sequence[np.ndarray] = (),
    labels: Sequence[int] | None = None,
    sources: Sequence[str | Path] = (),
) -> dict[str, Any]:
    """Writes a classifier to a self-contained folder, and compares each step with the original model.

    In ONNX, batch and time are dynamic, padding is masked, and the folder holds `model.onnx` with outputs `logits`
    and `embedding` (the mean of the last hidden state over frames), `config.json`, `preprocessor_config.json`,
    `exhubert_onnx.py`, which runs it with onnxruntime and numpy alone, and `export.json`, the returned report.

    Args:
        model: Folder or hub id of a classifier, ExHuBERT or plain HuBERT.
        output: A folder that doesn't exist yet or is empty.
        format: `onnx`, or `safetensors` for a smaller ExHuBERT that loads like any other.
        folded: Leave out blocks whose gate is exactly zero and frozen gates that are the identity; exact in fp32.
        prune: Also leave out blocks that add less than this share to their frozen copy's output, over `clips`.
        int8: Store the matrices of an ONNX model in 8 bits, and multiply in 8 bits (dynamic quantisation).
        clips: Recordings `(samples,)` at the model's rate to compare on; synthetic ones if there are none.
        labels: Class indices of `clips`, for the UAR.
        sources: Files and folders that `clips` come from, which the output must not be, contain or lie inside.

    Returns:
        `steps`, each with `name`, `megabytes` of weights, and compared with the first step
        `logits` (largest difference), `agreement` (share of clips with the same class; None for regression models) and
        `uar` if labels are given;
        `clips`, the number of clips; `left_out`, how many were too short for a frame; `made_up`, whether the clips
        are synthetic; `closed_blocks`.

    Raises:
        ValueError: Options conflict, a required library is missing, or the output isn't empty or touches a source.
        OSError, RuntimeError: The model can't be read.
    """
    output = Path(output)
    _check(output, [model, *sources], format, folded, prune, int8, clips)
    network = load_classifier(model)
    if isinstance(network, OnnxModel):
        raise ValueError(f"{model} was exported already; give the folder it was exported from.")
    if (folded or prune is not None) and not isinstance(network, ExHuBERTForSequenceClassification):
        raise ValueError(f"{model} is a plain HuBERT; it has no gates, so --fold and --prune don't apply.")
    align(network)
    extractor = feature_extractor_of(model, network.config)
    made_up = not len(clips)
    if made_up:
        clips = [signal_like_speech(seconds, seed)[0].numpy() for seed, seconds in enumerate((0.5, 1.7, 3.0, 4.1))]
    min_samples = samples_per_frame(network.config)
    usable = [index for index, clip in enumerate(clips) if len(clip) >= min_samples]
    if not usable:
        raise ValueError(f"None of the {len(clips)} recordings to compare on has {min_samples} samples, one frame.")
    left_out, clips = len(clips) - len(usable), [clips[index] for index in usable]
    labels = None if labels is None else [labels[index] for index in usable]
    if labels is not None and is_regression(network.config):
        raise ValueError(f"{model} is a regression model, which has no UAR; compare on recordings with --check.")
    judge = _Judge(extractor, network.config, clips, labels)
    judge.add("torch, fp32", network)
    if folded:
        network = fold(network)
        judge.add("folded", network)
    if prune is not None:
        network = fold(network, also=_nearly_closed(network, judge, prune))
        judge.add(f"pruned below {prune:g}", network)
    with model_folder(output) as work:
        extractor.save_pretrained(work)
        if format == "safetensors":
            network.save_pretrained(work)
        else:
            _write_onnx(network, work)
            judge.add("ONNX, fp32", OnnxModel(work), _megabytes(work))
            if int8:
                _quantise(work)
                write_json(work / "export.json", {"int8": True})
                judge.add("ONNX, int8", OnnxModel(work), _megabytes(work))
        report = {
            "model": str(model),
            "format": format,
            "int8": int8,
            "closed_blocks": getattr(network.config, "closed_blocks", None) or [],
            "clips": len(clips),
            "left_out": left_out,
            "made_up": made_up,
            "steps": judge.steps,
        }
        write_json(work / "export.json", report)
    return report


def table(report: dict[str, Any]) -> str:
    """Formats the report of `export` as a table, one line per step."""
    lines = [f"{'step':22} {'MB':>8} {'logits':>9} {'same class':>11} {'UAR':>6}"]
    for step in report["steps"]:
        uar = f"{100 * step['uar']:6.1f}" if step["uar"] is not None else f"{'-':>6}"
        same = f"{100 * step['agreement']:9.1f} %" if step["agreement"] is not None else f"{'-':>11}"
        lines.append(f"{step['name']:22} {step['megabytes']:8.1f} {step['logits']:9.1e} {same} {uar}")
    kind = "made-up clips; give --check or --data for real ones" if report["made_up"] else "recordings"
    short = f", {report['left_out']} more are too short" if report["left_out"] else ""
    return "\n".join([*lines, f"against the first line, on {report['clips']} {kind}{short}"])


class _Judge:
    """Runs the model of each step on the same recordings, and compares its outputs with those of the first."""

    def __init__(self, extractor, config, clips: Sequence[np.ndarray], labels: Sequence[int] | None):
        rate = extractor.sampling_rate
        length = round(window_seconds(config) * rate)
        self.labels = labels
        self.regression = is_regression(config)
        self.steps: list[dict[str, Any]] = []
        self.inputs = [
            extractor(heard_windows(clip, length, rate), sampling_rate=rate, return_tensors="pt", padding=True)
            for clip in clips
        ]
        self.first = np.zeros(0)

    @torch.inference_mode()
    def add(self, name: str, model: Any, megabytes: float | None = None) -> None:
        logits = np.stack(
            [
                model(**inputs).logits.float().mean(dim=0).numpy()
                for inputs in tqdm(self.inputs, desc=name, unit="recording", leave=False)
            ]
        )
        if not self.steps:
            self.first = logits
        predicted = logits.argmax(axis=1)
        if megabytes is None:
            megabytes = sum(p.numel() * p.element_size() for p in model.parameters()) / 1e6
        self.steps.append(
            {
                "name": name,
                "megabytes": megabytes,
                "logits": float(np.abs(logits - self.first).max()),
                "agreement": None if self.regression else float((predicted == self.first.argmax(axis=1)).mean()),
                "uar": None if self.labels is None else uar(self.labels, predicted),
            }
        )


def _check(
    output: Path, sources: Sequence[str | Path], format: str, folded: bool, prune: float | None, int8: bool, clips
) -> None:
    if format not in FORMATS:
        raise ValueError(f"The format is {format!r}; expected {' or '.join(FORMATS)}.")
    check_model_target("OUT", output, sources)
    if int8 and format != "onnx":
        raise ValueError("--int8 needs --format onnx.")
    if format == "safetensors" and not folded and prune is None:
        raise ValueError("--format safetensors changes nothing without --fold or --prune.")
    if prune is not None and not prune > 0:
        raise ValueError(f"--prune is {prune:g}; expected a share above 0, such as 0.01.")
    if prune is not None and not len(clips):
        raise ValueError("--prune measures what blocks add on speech: give recordings with --check or --data.")
    if format == "onnx":
        try:
            import onnx  # noqa: F401
            import onnxruntime  # noqa: F401
            import onnxscript  # noqa: F401
        except ImportError as error:
            raise ValueError(f"Exporting to ONNX needs {error.name}: pip install 'exhubert[onnx]'.") from error


def _nearly_closed(network: ExHuBERTForSequenceClassification, judge: _Judge, threshold: float) -> list[int]:
    """Blocks whose mean share over the recordings is below `threshold`."""
    shares = [added_shares(network, dict(inputs)) for inputs in judge.inputs]
    return [index for index in network.gates if np.mean([share[index] for share in shares]) < threshold]


class _WithEmbedding(torch.nn.Module):
    """Wraps a classifier to return logits and embedding as plain tensors."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_values: torch.Tensor, attention_mask: torch.Tensor):
        states: list[torch.Tensor] = []
        handle = self.model.base_model.register_forward_hook(
            lambda module, inputs, output: states.append(output.last_hidden_state)
        )
        logits = self.model(input_values, attention_mask=attention_mask).logits
        handle.remove()
        frames = self.model._get_feature_vector_attention_mask(states[0].shape[1], attention_mask)[..., None]
        return logits, (states[0] * frames).sum(dim=1) / frames.sum(dim=1)


def _write_onnx(network, folder: Path) -> None:
    rate = 16_000
    example = (torch.zeros(2, rate), torch.ones(2, rate, dtype=torch.long))
    dynamic = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    size = 4 * network.num_parameters()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            _WithEmbedding(network.float()).eval(),
            example,
            input_names=["input_values", "attention_mask"],
            output_names=["logits", "embedding"],
            dynamic_shapes={"input_values": dynamic, "attention_mask": dynamic},
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    program.save(folder / EXPORTED, external_data=size > _INLINE_LIMIT)
    config = json.loads(network.config.to_json_string())
    config.pop("auto_map", None)  # the model's code isn't exported
    write_json(folder / "config.json", config)
    shutil.copyfile(Path(__file__).with_name("exhubert_onnx.py"), folder / "exhubert_onnx.py")


@contextlib.contextmanager
def _quiet():
    """Silences onnxruntime's advice to simplify the graph first, which torch's exporter already does."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def _quantise(folder: Path) -> None:
    """Quantises matrices to 8 bits, with one scale per column; convolutions stay in fp32."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory(dir=folder) as work, _quiet():
        quantize_dynamic(
            folder / EXPORTED,
            Path(work) / EXPORTED,
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            weight_type=QuantType.QInt8,
            use_external_data_format=(folder / f"{EXPORTED}.data").is_file(),
        )
        for path in folder.glob(f"{EXPORTED}*"):
            path.unlink()
        for path in Path(work).iterdir():
            path.replace(folder / path.name)


def _megabytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.glob(f"{EXPORTED}*")) / 1e6
