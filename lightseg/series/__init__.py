"""Series of runs of one command: seeds, folds and grids, several at a time, each in a process of its own."""
