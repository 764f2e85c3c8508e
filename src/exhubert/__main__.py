"""`python -m exhubert` is the `exhubert` command."""

import sys

from .cli.main import main

if __name__ == "__main__":
    sys.exit(main())
