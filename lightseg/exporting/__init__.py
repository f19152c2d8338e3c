"""Trained task as a file that other runtimes read: traced, written, checked against torch, and described."""
