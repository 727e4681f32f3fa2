"""A report of a run, or of two beside each other, as one HTML file that needs nothing from outside."""
