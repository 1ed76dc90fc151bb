"""Tools of this repository's developers; not part of the package."""
