"""Text of unknown origin, made fit to be printed."""

import re

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")
"""Controls of terminals, all that turn the direction of what is written, and halves of characters.

Line feed and tab are none; nor are the joiners that Persian names and emoji are written with.
"""


def printable(text: str) -> str:
    r"""Return a text whose control characters are spelt out (`\x1b`), so that a terminal shows them and obeys none."""
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape", "surrogatepass").decode(), text)


def printable_line(text: str) -> str:
    """Return the same in one line."""
    return " ".join(printable(text).split())
