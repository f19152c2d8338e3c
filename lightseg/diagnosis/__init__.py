"""What can be wrong with a data set, found before anything is trained on it."""
