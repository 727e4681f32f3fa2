"""The system page: managers, store, delivery and versions."""
