"""pytest-cutover: go/no-go gates for production cutovers, as marked pytest checks."""

__version__ = "0.1.0"
