"""Exercises a manager: sample memory, load patterns and runs, recorded workloads."""
