"""Transforms of training and evaluation samples, and their random numbers."""
