"""What is done to samples and batches before they are trained on."""
