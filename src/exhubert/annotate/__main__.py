"""Runs `exhubert annotate` as a module."""

from ..cli.annotate import main
from ..cli.program import run_program

if __name__ == "__main__":
    run_program(main, "exhubert")
