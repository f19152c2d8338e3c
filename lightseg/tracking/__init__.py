"""What W&B shows of a run folder, without torch, so that it can be shown again long after the training."""
