"""The sandbox service: a small application with a readiness endpoint whose checks are real."""
