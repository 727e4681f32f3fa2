"""The column store: records in columns, in order of arrival, within a window."""
