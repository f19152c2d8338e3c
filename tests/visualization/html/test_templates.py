import pytest
from jinja2 import UndefinedError
from markupsafe import Markup

from lightseg.visualization.html import Section, read_source, render, render_page

HOSTILE = "<script>\x1b[31m\u202e\ud800&\"'"
SPELLED_OUT = r"&lt;script&gt;\x1b[31m\u202e\ud800&amp;&#34;&#39;"


def _page(sections):
    return render_page(HOSTILE, HOSTILE, sections, Markup("b{}"))


def test_render_page__values_are_escaped_and_control_characters_spelled_out():
    page = _page([Section("here", HOSTILE, Markup("<p>shown</p>"))])

    assert page.count(SPELLED_OUT) == 5
    assert not any(character in page for character in "\x1b\u202e\ud800")
    assert "<p>shown</p>" in page


def test_render_page__control_characters_of_markup_are_spelled_out():
    assert r"<p>\x1b</p>" in _page([Section("here", "Here", Markup("<p>\x1b</p>"))])


def test_render_page__a_section_without_content_is_left_out():
    assert "<section" not in _page([Section("empty", "Empty", Markup())])


def test_render__a_missing_value_is_an_error():
    with pytest.raises(UndefinedError, match="sections"):
        render("visualization/html/page.html", title="", summary="", style="", script="")


def test_read_source__is_the_file_as_it_is():
    assert 'const tip = document.getElementById("tip");' in read_source("visualization/html/page.js")
