"""Finished runs side by side, and whether what differs between their scores is more than chance."""
