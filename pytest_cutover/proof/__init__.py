"""Whether gates can turn red: attempts with adverse readings, and what the engine judged. Nothing here is evidence."""
