"""The transparency log: an append-only Merkle tree in tiles, its signed checkpoints and proofs (C2SP, RFC 6962)."""
