"""A gate run, from its first line in the journal to its sealed end."""
