"""Ink: a layout and an ax become a figure. No statistics, no decisions about content."""
