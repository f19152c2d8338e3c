"""lightseg: train segmentation and classification models from one YAML recipe, with numbers you can trust."""

import os
import sys
from importlib.util import find_spec

__all__ = ["__version__", "load", "push"]

# argv[0] is "-m" while `python -m lightseg.VERB` is looked up; a program that imports lightseg gets its own error
if sys.argv[:1] == ["-m"] and (sys.version_info < (3, 11) or find_spec("torch") is None):
    python = f"Python {sys.version.split()[0]} ({sys.executable})"
    fix = "call `make install`, then `source .venv/bin/activate`"
    print(f"lightseg: error: {python} is older than 3.11, or lightseg is not installed for it; {fix}", file=sys.stderr)
    sys.exit(2)

# python -m puts the working directory first on the import path; it may be somebody else's run folder, whose `yaml.py`
# would be imported. PYTHONPATH has its own entries, and verbs that run the user's code add the directory again
if sys.argv[:1] == ["-m"] and sys.orig_argv[-len(sys.argv)].partition(".")[0].endswith("lightseg"):
    directory = os.getcwd()  # noqa: PTH109
    if sys.path[:1] == [directory] and directory != os.path.dirname(os.path.dirname(os.path.abspath(__file__))):  # noqa: PTH100, PTH120
        del sys.path[0]

# after that, since a file can shadow even a module of the standard library
from typing import TYPE_CHECKING

from lightseg.config.lazy import lazy_getattr
from lightseg.files.version import __version__

if TYPE_CHECKING:
    from lightseg.checkpoint.loading import load
    from lightseg.exporting.push import push

# albumentations looks for a newer version on the network when it is imported
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")


__getattr__ = lazy_getattr(__name__, {"load": "checkpoint.loading", "push": "exporting.push"})
