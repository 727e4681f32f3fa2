"""Drives a manager: load patterns, runs, comparisons and their reports."""
