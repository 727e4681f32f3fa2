"""An older path to ``athena_tuning.integrations.prometheus``, kept importable."""
