"""Comparison of finished runs, with confidence intervals of their score differences."""
