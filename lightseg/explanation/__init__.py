"""Explanations: where a trained net fails, how sure it is, and which pixels it depends on."""
