"""A memory from a git repository: what happened, what is known, how it is done, what is open."""
