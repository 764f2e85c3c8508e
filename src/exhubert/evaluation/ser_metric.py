"""The figures of speech emotion recognition as one metric for the library `evaluate`: UAR, WA, macro-F1, confusion."""

import datasets
import evaluate

from exhubert.evaluation.metrics import class_figures


class SERMetric(evaluate.Metric):
    """Figures of integer class predictions, see [`exhubert.evaluation.metrics.class_figures`].

    `evaluate.load` reads this file by its path; it needs exhubert, and no network.
    """

    def _info(self):
        return evaluate.MetricInfo(
            description=__doc__,
            citation="",
            inputs_description="predictions and references: class indices",
            features=datasets.Features({"predictions": datasets.Value("int32"), "references": datasets.Value("int32")}),
        )

    def _compute(self, predictions, references, num_classes=None):
        return class_figures(references, predictions, num_classes)
