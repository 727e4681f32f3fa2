"""The history page: what was changed, by whom, and what came of it."""
