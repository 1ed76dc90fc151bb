"""Criteria without Python: gates written in TOML, which run as the pytest functions that they stand for."""
