"""The simulate page: load runs, sweeps over configs, and their results."""
