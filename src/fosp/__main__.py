"""``python -m fosp`` is the command ``fosp``."""

import sys

from fosp.cli import main

sys.exit(main())
