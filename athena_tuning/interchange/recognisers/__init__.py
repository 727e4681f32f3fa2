"""One small file a format: the marks by which it is told, and how it is read."""
