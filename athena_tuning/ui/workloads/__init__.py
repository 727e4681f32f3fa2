"""The workloads page: samples, uploads, simulated days and a memory to ask."""
