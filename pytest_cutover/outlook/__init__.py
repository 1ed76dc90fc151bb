"""What a run would find if it began now: gates collected, calls read, surroundings looked at; nothing is run."""
