"""The sample memory, its generator and the recorded workloads."""
