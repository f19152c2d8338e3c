"""Name in one line what the running Python lacks for lightseg, and the fix; exit with 2 then.

Any Python since 2.7 can run it: one that is too old must not fail on the syntax.
"""

import glob
import importlib
import os
import platform
import sys
import sysconfig

FOLDER = os.path.dirname(os.path.abspath(__file__))
MINORS = sorted(int(os.path.basename(path)[3:-4]) for path in glob.glob(os.path.join(FOLDER, "py3*.txt")))
# what the dependencies import and a Python lacks that was built without the library, of which this is Debian's name
LIBRARIES = {
    "bz2": "libbz2-dev",
    "ctypes": "libffi-dev",
    "lzma": "liblzma-dev",
    "ssl": "libssl-dev",
    "zlib": "zlib1g-dev",
}


def is_importable(name):
    """Whether a module of the running Python works."""
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True


def newest_command():
    """Return the newest tested Python that the shell would find, or else the newest tested one."""
    folders = os.environ.get("PATH", "").split(os.pathsep)
    names = ["python3.%d" % minor for minor in reversed(MINORS)]
    return next((name for name in names if any(os.access(os.path.join(at, name), os.X_OK) for at in folders)), names[0])


def describe_problem():
    """Return what is wrong with the running Python and the fix, or nothing."""
    switch = "make install PYTHON=" + newest_command()
    tested = "3.%d to 3.%d" % (MINORS[0], MINORS[-1])
    if sys.version_info[:2] > (3, MINORS[-1]):
        untested = "%s -m venv .venv && .venv/bin/pip install ." % sys.executable
        return "is newer than what lightseg is tested with (%s); %s, or untested: %s" % (tested, switch, untested)
    if sys.version_info[:2] < (3, MINORS[0]):
        return "is too old for lightseg (%s); %s" % (tested, switch)
    if platform.python_implementation() != "CPython" or sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "has no wheels of some dependencies (not CPython, or free-threaded); " + switch
    missing = [name for name in sorted(LIBRARIES) if not is_importable(name)]
    if missing:
        libraries = " ".join(LIBRARIES[name] for name in missing)
        return "was built without %s; install %s and build it anew, or %s" % (", ".join(missing), libraries, switch)
    if not is_importable("pip"):
        return "has no pip; %s -m ensurepip, or on Debian and Ubuntu: apt install python3-pip" % sys.executable
    return ""


problem = describe_problem()
if problem:
    sys.stderr.write("lightseg: error: Python %s (%s) %s\n" % (platform.python_version(), sys.executable, problem))
    sys.exit(2)
