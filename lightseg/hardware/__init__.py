"""Machine: cores, memory, devices and the precision that fits them."""
