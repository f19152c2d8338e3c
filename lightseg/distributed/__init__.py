"""Processes of a run: start-up, supervision, strategies and the reduction of sums."""
