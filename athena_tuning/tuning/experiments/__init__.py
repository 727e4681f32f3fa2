"""Two configs in force in turns: what recalls met under each, and what may be said of the difference."""
