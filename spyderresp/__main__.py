"""``python -m spyderresp``."""

import sys

from spyderresp.cli import main

sys.exit(main())
