"""Evaluation: metrics, protocols, predictions, baselines, comparisons and plots."""

from .evaluate_model import evaluate_model
from .metrics import load_metric, ser_metrics

__all__ = ["evaluate_model", "load_metric", "ser_metrics"]
