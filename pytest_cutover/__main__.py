"""`python -m pytest_cutover …` is `cutover …`."""

import sys

from pytest_cutover.cli import main

sys.exit(main())
