"""Compares recordings with each other, and corpora with the catalog."""
