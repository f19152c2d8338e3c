"""Collection of data errors."""

import pytest

from lightseg.data.io.error_collector import LayoutError, collect_errors, report
from lightseg.errors import DataError


def test_report__raises_unless_errors_are_collected():
    first, second = DataError("first"), LayoutError("image without mask", "second", ("a.png",))
    with collect_errors() as errors:
        report(first)
        with collect_errors() as inner:
            report(second)
        report(second)
    assert (errors, inner) == ([first, second], [second])
    with pytest.raises(DataError, match="^first$"):
        report(first)


def test_collection__ends_with_an_error_in_it():
    with pytest.raises(KeyError), collect_errors():
        raise KeyError
    with pytest.raises(LayoutError, match="^message$") as raised:
        report(LayoutError("kind", "message", iter(["a.png", "b.png"])))
    assert (raised.value.kind, raised.value.files) == ("kind", ["a.png", "b.png"])
