"""Unweighted average recall: mean over the classes that occur in the references of the recall of each."""

import datasets
import evaluate
import numpy as np
from sklearn.metrics import recall_score


class UAR(evaluate.Metric):
    """Unweighted average recall of integer class predictions; loads offline with `evaluate.load` from this folder."""

    def _info(self):
        return evaluate.MetricInfo(
            description=__doc__,
            citation="",
            inputs_description="predictions and references: class indices",
            features=datasets.Features({"predictions": datasets.Value("int32"), "references": datasets.Value("int32")}),
        )

    def _compute(self, predictions, references):
        present = np.unique(references)
        return {"uar": float(recall_score(references, predictions, labels=present, average="macro", zero_division=0))}
