"""The questions asked of the column store, each a pure reading of its rows."""
