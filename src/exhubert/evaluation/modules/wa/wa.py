"""Weighted accuracy: share of predictions that are right."""

import datasets
import evaluate
from sklearn.metrics import accuracy_score


class WA(evaluate.Metric):
    """Weighted accuracy of integer class predictions; loads offline with `evaluate.load` from this folder."""

    def _info(self):
        return evaluate.MetricInfo(
            description=__doc__,
            citation="",
            inputs_description="predictions and references: class indices",
            features=datasets.Features({"predictions": datasets.Value("int32"), "references": datasets.Value("int32")}),
        )

    def _compute(self, predictions, references):
        return {"wa": float(accuracy_score(references, predictions))}
