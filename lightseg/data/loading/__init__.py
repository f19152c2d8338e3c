"""Order, batches and loaders of samples."""
