"""Estimates from what was measured: contention, service times, contributions of layers."""
