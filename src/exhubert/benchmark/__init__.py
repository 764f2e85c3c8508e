"""Measuring: each claim is a ratio of two things that took turns in one run, each in a process of its own."""
