"""Layouts: figures as data. Nothing here knows how ink is made."""
