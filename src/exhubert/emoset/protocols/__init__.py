"""Protocols: which utterance is in which fold, as YAML files."""
