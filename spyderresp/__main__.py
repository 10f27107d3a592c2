"""``python -m spyderresp``."""

import sys

from spyderresp.cli import main

if __name__ == "__main__":
    sys.exit(main())
