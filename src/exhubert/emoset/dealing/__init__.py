"""Deals speakers, and what keeps them together, into partitions."""
