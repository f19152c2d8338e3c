"""From a trained task to predictions: whole images or windows, images too large for memory, files in and out."""
