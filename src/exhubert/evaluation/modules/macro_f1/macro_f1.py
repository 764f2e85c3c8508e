"""Macro-F1: mean over the classes that occur in the references of the F1 score of each."""

import datasets
import evaluate
import numpy as np
from sklearn.metrics import f1_score


class MacroF1(evaluate.Metric):
    """Macro-F1 of integer class predictions; loads offline with `evaluate.load` from this folder."""

    def _info(self):
        return evaluate.MetricInfo(
            description=__doc__,
            citation="",
            inputs_description="predictions and references: class indices",
            features=datasets.Features({"predictions": datasets.Value("int32"), "references": datasets.Value("int32")}),
        )

    def _compute(self, predictions, references):
        present = np.unique(references)
        return {"macro_f1": float(f1_score(references, predictions, labels=present, average="macro", zero_division=0))}
