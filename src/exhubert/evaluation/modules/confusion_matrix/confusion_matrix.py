"""Confusion matrix: counts, references in rows, predictions in columns."""

import datasets
import evaluate
import numpy as np
from sklearn.metrics import confusion_matrix


class ConfusionMatrix(evaluate.Metric):
    """Confusion matrix of integer class predictions; loads offline with `evaluate.load` from this folder."""

    def _info(self):
        return evaluate.MetricInfo(
            description=__doc__,
            citation="",
            inputs_description="predictions and references: class indices",
            features=datasets.Features({"predictions": datasets.Value("int32"), "references": datasets.Value("int32")}),
        )

    def _compute(self, predictions, references, num_classes=None):
        labels = range(num_classes) if num_classes else np.union1d(references, predictions)
        return {"confusion_matrix": confusion_matrix(references, predictions, labels=list(labels)).tolist()}
