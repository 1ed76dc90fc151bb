"""Shared by the repository's own tests; gates need nothing from here."""
