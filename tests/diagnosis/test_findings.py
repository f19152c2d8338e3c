"""Findings from messages."""

import pytest

from lightseg.diagnosis.findings import from_message


@pytest.mark.parametrize(
    ("message", "what", "mend"),
    [
        ("x.png: is 3×4; resize it; or remove it", "x.png: is 3×4", "resize it; or remove it"),
        ("x.png: is broken", "x.png: is broken", "repair the file, or remove it and its counterpart"),
    ],
)
def test_from_message__the_fix_follows_the_first_semicolon(message, what, mend):
    finding = from_message("size", "error", message, ["x.png"])
    assert (finding.check, finding.severity, finding.what, finding.mend, finding.files) == (
        *("size", "error", what, mend),
        ["x.png"],
    )
