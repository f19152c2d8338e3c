"""Figures, examples and HTML pages of runs."""
