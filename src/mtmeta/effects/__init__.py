"""Effect sizes: the table that models read, the calculators that fill it, and the bridge from records."""
