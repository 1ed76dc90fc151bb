"""What a run proves and how it is checked: statements, envelope, bundle, report, verify, admit.

Pure: bytes, keys and times are arguments; only `cli` reads files.
"""
