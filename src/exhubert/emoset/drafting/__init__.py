"""Drafts the catalog entry of a corpus from the names of its recordings."""
