"""Printable text of names and messages."""

from lightseg.files.printable import align_columns, format_count, join_names, printable


def test_printable__what_people_write_stays():
    text = "Straße, 道路, علی‌رضا, 👩‍👩‍👧\ta\nb"
    assert printable(text) == text


def test_align_columns__to_the_left_without_spaces_at_the_end():
    assert align_columns([["a", "score"], ["long", ""], ["b", "1"]]) == ["a     score", "long", "b     1"]


def test_format_count__singular_plural_and_thousands():
    assert [format_count(number, "image") for number in (0, 1, 1200)] == ["0 images", "1 image", "1,200 images"]


def test_join_names__beyond_the_limit_they_are_counted():
    assert [join_names(list("abcd")[:number], 3) for number in (0, 1, 3, 4)] == [
        "",
        "a",
        "a, b, c",
        "a, b, c and 1 more",
    ]
