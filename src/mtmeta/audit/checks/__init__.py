"""Integrity checks: small functions, each with a code, its evidence, a remedy and a source."""
