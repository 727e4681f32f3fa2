"""Older paths to ``athena_tuning.integrations``, kept importable."""
