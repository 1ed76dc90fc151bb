"""Judging recorded evidence again: under another policy, with one thing changed, beside another run.

Pure, like `decide` itself, and signs nothing: an answer from here is a reason to run again, never a decision.
"""
