"""Maps labels and ratings to the classes of a label space."""
