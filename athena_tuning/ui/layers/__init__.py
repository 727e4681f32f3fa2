"""The layers page: how each layer is, and what it is worth."""
