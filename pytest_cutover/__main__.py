"""`python -m pytest_cutover …` is `cutover …`."""

import sys

# The working folder is the project that is judged: it may not answer for a library of the judge.
if not sys.flags.safe_path:
    del sys.path[0]

from pytest_cutover.cli import main

sys.exit(main())
