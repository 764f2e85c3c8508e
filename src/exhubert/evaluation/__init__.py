"""Evaluation: metrics, predictions, baselines, results and plots."""

from .metrics import load_metric, ser_metrics

__all__ = ["load_metric", "ser_metrics"]
