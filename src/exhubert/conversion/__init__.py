"""From HuBERT or the published weights to ExHuBERT and back, and loading any of them."""

from .extension import extend_hubert, hubert_of
from .folding import fold
from .identity import IdentityReport, identity_report
from .loading import default_feature_extractor, feature_extractor_of, load_classifier, load_hubert
from .published import load_published
from .session import OnnxModel

__all__ = [
    "IdentityReport",
    "OnnxModel",
    "default_feature_extractor",
    "extend_hubert",
    "feature_extractor_of",
    "fold",
    "hubert_of",
    "identity_report",
    "load_classifier",
    "load_hubert",
    "load_published",
]
