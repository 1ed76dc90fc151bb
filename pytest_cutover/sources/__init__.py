"""One file per thing that is measured; a source reads, says when, and never judges."""
