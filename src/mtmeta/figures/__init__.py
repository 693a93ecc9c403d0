"""Figures: a result becomes a layout (data), a layout becomes ink."""
