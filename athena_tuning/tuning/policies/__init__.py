"""Policies: from evidence to a decision with its reason."""
