"""A fictional software team: who is in it, what happened to it, and how it writes its notes."""
