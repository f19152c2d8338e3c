"""Inference with a trained task: whole images or windows, images larger than memory, input and output files."""
