"""Readers of images, masks and labels, and the cache of results that take a pass over them."""
