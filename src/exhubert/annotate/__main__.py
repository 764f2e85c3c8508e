"""Runs `exhubert annotate` as a module."""

import sys

from ..cli.annotate import main

if __name__ == "__main__":
    sys.exit(main())
