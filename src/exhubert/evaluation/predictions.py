"""Runs a classifier over a built dataset and returns its predictions as a table with one row per utterance."""

import datasets
import numpy as np
import pandas as pd
import torch
from tqdm.auto import tqdm

from ..configuration_exhubert import logit_temperature, sees_padding
from ..emoset.batches import SpeechCollator, pooled_logits
from ..emoset.labelling.rated import ratings_of

KEPT = ["utterance_id", "corpus", "language", "speaker", "gender", "duration", "label"]


def predict_rows(
    model, feature_extractor, rows: datasets.Dataset, max_seconds: float = 3.0, batch_size: int = 16
) -> pd.DataFrame:
    """Predicts the class of each row of a built dataset.

    Args:
        model: Any audio-classification model.
        feature_extractor: Its feature extractor.
        rows: Rows with `audio`, `label` and the other columns of `KEPT`.
        max_seconds: Longer utterances are cut into windows of this length, and the logits of the windows are averaged,
            as in evaluation during training.
        batch_size: Number of utterances, and of windows, at a time. Always 1 for models with group norm, whose outputs
            depend on padding.

    Returns:
        The columns `KEPT`, `prediction` (class index) and `p_<class>` (probabilities that sum to one, calibrated if the
        model carries a temperature), in the order of `rows`; and `arousal_rating` (0 to 1) and `valence_rating` (-1 to
        1) if any of the rows is rated on a known scale.
    """
    if sees_padding(model.config):
        batch_size = 1
    collate = SpeechCollator(feature_extractor, max_seconds)
    order = np.argsort(rows["duration"], kind="stable")
    logits = np.zeros((len(rows), model.config.num_labels), dtype=np.float32)
    model.eval()
    with torch.inference_mode(), tqdm(total=len(rows), desc="evaluating", unit="utterance") as bar:
        for first in range(0, len(order), batch_size):
            indices = order[first : first + batch_size]
            batch = collate([rows[int(index)] for index in indices])
            batch = {key: value.to(model.device) if torch.is_tensor(value) else value for key, value in batch.items()}
            logits[indices] = pooled_logits(model, batch, batch_size).float().cpu().numpy()
            bar.update(len(indices))
    table = rows.select_columns(KEPT).to_pandas()
    ratings = ratings_of(rows)
    if ratings.notna().any(axis=None):
        table["arousal_rating"] = ratings["arousal_rating"].to_numpy()
        table["valence_rating"] = 2 * ratings["valence_rating"].to_numpy() - 1
    table["prediction"] = logits.argmax(axis=1)
    probabilities = torch.from_numpy(logits / logit_temperature(model.config)).softmax(dim=-1).numpy()
    for index, name in model.config.id2label.items():
        table[f"p_{name}"] = probabilities[:, index]
    return table
