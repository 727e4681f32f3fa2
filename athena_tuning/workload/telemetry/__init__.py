"""Other monitoring systems: what they have measured comes in, what we have measured goes out."""
