"""``python -m fer_lightning``."""

import sys

from fer_lightning.cli import main

if __name__ == "__main__":
    sys.exit(main())
