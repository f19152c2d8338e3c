"""Scoring a trained task on any data, and views of its errors beside the score."""
