"""``python -m tutelage``, and so ``torchrun -m tutelage``."""

import sys

from tutelage.cli import main

if __name__ == "__main__":
    sys.exit(main())
