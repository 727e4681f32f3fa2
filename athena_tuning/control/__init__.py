"""Steers: a worker's part in a store. It obeys configs, delivers metrics and leads by lease."""

from athena_tuning.control.external import Control

__all__ = ["Control"]
