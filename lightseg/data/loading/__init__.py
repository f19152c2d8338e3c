"""Samplers, collate functions and data loaders."""
