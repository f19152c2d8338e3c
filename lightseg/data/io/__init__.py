"""Reading of images, masks and labels, and the cache of what took a pass over them."""
