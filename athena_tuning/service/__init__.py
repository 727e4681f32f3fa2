"""Answers everything that a page, a command or an HTTP client may ask; draws nothing."""
