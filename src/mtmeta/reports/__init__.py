"""Numbers to words, tables and lock files."""
