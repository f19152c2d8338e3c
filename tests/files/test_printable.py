"""Printable text of names and messages."""

from lightseg.files.printable import align_columns, printable


def test_printable__what_people_write_stays():
    text = "Straße, 道路, علی‌رضا, 👩‍👩‍👧\ta\nb"
    assert printable(text) == text


def test_align_columns__to_the_left_without_spaces_at_the_end():
    assert align_columns([["a", "score"], ["long", ""], ["b", "1"]]) == ["a     score", "long", "b     1"]
