"""Planted bugs: patches that break one promise each, and the proof that the suite notices every one of them."""
