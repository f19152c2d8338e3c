"""W&B's views of run folders, without torch, so that they can be made long after training."""
