"""The fault suite: every way in which an upload can go wrong, made to happen many times. ``python -m tests.faults``."""
