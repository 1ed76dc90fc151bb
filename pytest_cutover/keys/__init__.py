"""Signing keys, public keys and the trust file that says which of them counts for what."""
