"""`python -m exhubert` is the `exhubert` command."""

import sys

from .cli import main

sys.exit(main())
