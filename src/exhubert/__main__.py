"""`python -m exhubert` is the `exhubert` command."""

import sys

from .cli.main import main

sys.exit(main())
