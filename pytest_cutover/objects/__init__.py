"""Where bytes are kept under names: one protocol, a folder and S3 behind it."""
