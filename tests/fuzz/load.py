"""Load a model as a user's script would: `python -m tests.fuzz.load FILE`; a UserError is its exit code 2."""

import sys

import lightseg
from lightseg.errors import UserError

if __name__ == "__main__":
    try:
        lightseg.load(sys.argv[1])
    except UserError as error:
        sys.exit(f"{error}"[:0] or 2)
