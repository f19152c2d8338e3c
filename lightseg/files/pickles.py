"""Classes that torch refuses to unpickle, for messages."""

import pickle
import re


def refused_class(error: pickle.UnpicklingError) -> str:
    """Return what torch refused to unpickle as ` (NAME)`; empty if its message does not name it."""
    match = re.search(r"\bGLOBAL ([\w.]+)", str(error))
    return f" ({match[1]})" if match else ""
