"""Plugins that are installed for our own tests, or with what we depend on: without them a small run takes half the time.

The guides' commands run with all of them.
"""

UNUSED = ("hypothesispytest", "anyio", "timeout", "rerunfailures")


def without(*plugins: str) -> list[str]:
    """What a command line of pytest says to load none of them."""
    return [f"-pno:{name}" for name in plugins]


LEAN = without(*UNUSED)
"""On the command line."""

ADDOPTS = " ".join(LEAN)
"""For PYTEST_ADDOPTS, where the command line is what the test is about; a supervisor does not pass it on."""
