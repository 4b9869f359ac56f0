"""Measurements of nbfiles against its own limits: ``python -m tests.benchmarks`` prints a table and writes JSON."""
