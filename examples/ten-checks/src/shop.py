"""What this release would be."""

PRICE = 3
