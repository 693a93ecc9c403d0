"""Diagnostics: refits, influence and small-study checks, generic in the model."""
