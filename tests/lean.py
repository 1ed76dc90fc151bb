"""Plugins that are installed for our own tests, or with what we depend on: without them a small run takes half the time.

The guides' commands run with all of them.
"""

UNUSED = ("hypothesispytest", "anyio", "timeout", "rerunfailures")

LEAN = [f"-pno:{name}" for name in UNUSED]
"""On the command line."""

ADDOPTS = " ".join(f"-p no:{name}" for name in UNUSED)
"""For PYTEST_ADDOPTS, where the command line is what the test is about; a supervisor does not pass it on."""
