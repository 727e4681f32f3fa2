"""The layers: their protocol, and the five built-in ones over a SQLite file."""
