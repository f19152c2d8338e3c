"""Printable text of names and messages."""

from lightseg.files.printable import printable


def test_printable__what_people_write_stays():
    text = "Straße, 道路, علی‌رضا, 👩‍👩‍👧\ta\nb"
    assert printable(text) == text
