"""Comparison of the tensors of a module with those of a file."""


def left_random(module, state):
    """Return the names in the module whose tensors are not in the file."""
    file_tensors = {(tuple(v.shape), float(v.float().sum())) for v in state.values()}
    return [k for k, v in module.state_dict().items() if (tuple(v.shape), float(v.float().sum())) not in file_tensors]
