"""The evidence store: documents of runs, their index, and what may never change or go."""
