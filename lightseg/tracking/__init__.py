"""W&B's views of run folders, without torch."""
