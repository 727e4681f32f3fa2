"""An older path to ``athena_tuning.integrations.span_processor``, kept importable."""

from athena_tuning.integrations.span_processor import QuerySpanProcessor

__all__ = ["QuerySpanProcessor"]
