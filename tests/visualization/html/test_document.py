"""Layout of a page."""

from markupsafe import Markup

from lightseg.visualization.html.document import Section, render_page


def test_render_page__texts_are_escaped_and_empty_sections_left_out():
    sections = [Section("first", "A <b>", Markup("<p>content</p>")), Section("second", "nothing", Markup(""))]
    page = render_page("<script>title</script>", "a & b", sections, Markup(".own{color:red}"))
    assert page.lower().startswith("<!doctype html>")
    assert "<script>title" not in page
    assert "&lt;script&gt;title&lt;/script&gt;" in page
    assert "a &amp; b" in page
    assert "A &lt;b&gt;" in page
    assert "<p>content</p>" in page
    assert 'id="first"' in page
    assert 'href="#first"' in page
    assert "second" not in page
    assert ".own{color:red}" in page
