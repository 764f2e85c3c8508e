"""`evaluate` modules that live in the package, because none can be fetched offline."""
