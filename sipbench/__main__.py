"""`python -m sipbench`: the command line."""

import sys

from sipbench.cli import main

if __name__ == "__main__":
    sys.exit(main())
