"""Evaluation of a trained task on any data: scores, extra metrics and calibration."""
