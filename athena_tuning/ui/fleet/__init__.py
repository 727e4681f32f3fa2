"""The fleet page: which managers there are, and what each does."""
