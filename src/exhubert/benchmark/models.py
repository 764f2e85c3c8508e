"""Models with random weights and recordings for the benchmark to run on."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from sklearn.linear_model import LogisticRegressionCV
from sklearn.model_selection import GroupKFold
from sklearn.preprocessing import StandardScaler
from tqdm.auto import tqdm
from transformers import HubertConfig, HubertForSequenceClassification

from ..conversion.loading import default_feature_extractor
from ..emoset.dataset import decode, load
from ..inference.recordings import embed, load_pipeline
from ..labels import SIX_CLASSES
from ..modeling_exhubert import ExHuBERTForSequenceClassification

SIZES: dict[str, dict[str, Any]] = {
    "tiny": {"hidden_size": 128, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 384},
    "base": {},
    "large": {
        "hidden_size": 1024,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "intermediate_size": 4096,
        "do_stable_layer_norm": True,
        "feat_extract_norm": "layer",
        "conv_bias": True,
    },
}


def random_model(size: str, folder: Path, blocks: int | None = None) -> Path:
    """Saves an ExHuBERT with random weights and non-zero gates, so that no part of the computation can be skipped."""
    torch.manual_seed(0)
    shape = SIZES[size] | ({"num_hidden_layers": blocks} if blocks else {})
    hubert = HubertForSequenceClassification(HubertConfig(num_labels=len(SIX_CLASSES), **shape))
    model = ExHuBERTForSequenceClassification.from_hubert(hubert, list(SIX_CLASSES))
    for gate in model.gates.values():
        gate.reset_parameters()
    model.save_pretrained(folder)
    default_feature_extractor(model.config).save_pretrained(folder)
    return folder


def fit_head(folder: Path, data: str, corpora: Sequence[str] | None) -> None:
    """Fits the classifier of a saved model on the train partition, so that its predictions are better than chance.

    It is a logistic regression on the projector's output for each recording, with the regularisation chosen by
    cross-validation over speakers. All layers before it keep their random weights.
    """
    rows = load(data, corpora)["train"]
    classifier = load_pipeline(folder, device="cpu", dtype="bfloat16")
    means = [embed(classifier, {"array": decode(row["audio"]), "sampling_rate": 16_000}) for row in tqdm(rows, "head")]
    model = ExHuBERTForSequenceClassification.from_pretrained(folder)
    with torch.no_grad():
        projected = model.projector(torch.from_numpy(np.stack(means))).numpy()
        scaler = StandardScaler().fit(projected)
        inputs, labels = scaler.transform(projected), np.array(rows["label"])
        parts = GroupKFold(min(5, len(set(rows["speaker"])))).split(inputs, labels, rows["speaker"])
        fitted = LogisticRegressionCV(
            Cs=np.logspace(-4, 0, 5), cv=list(parts), scoring="balanced_accuracy", max_iter=2000,
            l1_ratios=(0.0,), use_legacy_attributes=False,
        ).fit(inputs, labels)  # fmt: skip
        model.classifier.weight.zero_()
        model.classifier.bias.fill_(-20.0)  # for classes that the data don't have
        weight = fitted.coef_ / scaler.scale_
        model.classifier.weight[fitted.classes_] = torch.from_numpy(weight).float()
        model.classifier.bias[fitted.classes_] = torch.from_numpy(fitted.intercept_ - weight @ scaler.mean_).float()
    model.save_pretrained(folder)


def recordings(
    folder: Path, clips: int, data: str | None, corpora: Sequence[str] | None
) -> tuple[list[str], list[int] | None]:
    """Writes at most `clips` utterances as wav files: from the test partition of `data`, or noise of 1 to 3 s.

    Returns:
        Paths of the files, and their class indices; None instead of indices for noise.
    """
    folder.mkdir()
    rng = np.random.default_rng(0)
    labels = None
    if data:
        rows = load(data, corpora)["test"]
        rows = rows.select(rng.permutation(len(rows))[:clips])
        audio, labels = [decode(row["audio"]) for row in rows], list(rows["label"])
    else:
        audio = [0.1 * rng.standard_normal(round(16_000 * seconds)) for seconds in rng.uniform(1.0, 3.0, clips)]
    files = [folder / f"{index:05d}.wav" for index in range(len(audio))]
    for file, clip in zip(files, audio, strict=True):
        soundfile.write(file, clip, 16_000, subtype="FLOAT")
    return [str(file) for file in files], labels


def long_recording(path: Path, files: Sequence[str], seconds: float) -> Path:
    """Writes the recordings, repeated until `seconds` are filled, as one 16-bit wav file."""
    clips = [soundfile.read(file, dtype="float32")[0] for file in files]
    remaining, index = round(16_000 * seconds), 0
    with soundfile.SoundFile(path, "w", 16_000, 1, "PCM_16") as out:
        while remaining > 0:
            clip = clips[index % len(clips)][:remaining]
            out.write(clip)
            remaining, index = remaining - len(clip), index + 1
    return path
