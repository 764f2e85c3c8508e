"""What `recipes/bench.py` measures: prediction, training, memory, loading and building, beside published usage."""
