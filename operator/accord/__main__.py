"""`python -m accord`: the same as the program `accord`."""

import sys

from accord.cli import entry

if __name__ == "__main__":
    sys.exit(entry())
