"""An older path to ``athena_tuning.integrations.span_export``, kept importable."""

from athena_tuning.integrations.span_export import SpanExport, otlp_exporter, spans_of

__all__ = ["SpanExport", "otlp_exporter", "spans_of"]
