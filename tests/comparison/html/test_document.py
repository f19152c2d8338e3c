"""Page of a comparison: self-contained, and no text on it is executed."""

import dataclasses
from html.parser import HTMLParser

import pytest

from lightseg.comparison.html import write_page

VOID = {"meta", "img", "input", "br"}
EVIL = '<script>alert("x")</script>&'


class Reader(HTMLParser):
    """Parser of elements, attributes and text outside scripts, which checks that elements are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] not in (["script"], ["style"]):
            self.text += data

    def all(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def written(tmp_path):
    """Write a page and parse it."""

    def write(comparison) -> Reader:
        write_page(comparison, tmp_path / "out" / "page.html")
        return Reader((tmp_path / "out" / "page.html").read_text(encoding="utf-8"))

    return write


def test_page__needs_nothing_from_elsewhere(make_comparison, written):
    page = written(make_comparison())
    sources = [
        attributes[name] for _, attributes in page.elements for name in ("src", "href", "action") if name in attributes
    ]
    policy = next(
        attributes["content"]
        for attributes in page.all("meta")
        if attributes.get("http-equiv") == "Content-Security-Policy"
    )

    assert sources
    assert all(source.startswith(("data:", "#")) for source in sources)
    assert policy.startswith("default-src 'none'; img-src data:;")


def test_page__is_closed_and_can_be_found_through(make_comparison, written):
    page = written(make_comparison())
    ids = {attributes["id"] for _, attributes in page.elements if "id" in attributes}

    assert page.open == []
    assert {attributes["href"].removeprefix("#") for attributes in page.all("a")} <= ids
    assert {attributes["aria-labelledby"] for attributes in page.all("section")} <= ids
    assert len(page.all("h1")) == len(page.all("main")) == 1
    assert all(attributes["scope"] in ("row", "col") for attributes in page.all("th"))
    assert all(attributes["aria-label"] for attributes in page.all("svg") if attributes.get("role") == "img")


def test_page__texts_are_shown_and_not_run(make_comparison, written):
    comparison = make_comparison(labels=(EVIL, "small"), classes=(EVIL, "b"), notes=(EVIL,))
    first = dataclasses.replace(comparison.groups[0], differs={EVIL: EVIL})
    second = dataclasses.replace(comparison.groups[1], differs={EVIL: "–"})
    page = written(dataclasses.replace(comparison, groups=(first, second)))

    assert len(page.all("script")) == 1
    # label, class, note, key and value; and the command of the runs
    assert page.text.count(EVIL) > 10
    assert "--name <b>" in page.text
    assert any(EVIL in attributes.get("title", "") for attributes in page.all("td"))


def test_page__without_data_the_rest_is_whole(make_comparison, written):
    comparison = make_comparison(labels=("big", "small"))
    page = written(comparison)

    assert "The images cannot be shown: " in page.text
    assert "no checkpoint found" in page.text
    assert not page.all("img")
    assert [attributes["id"] for attributes in page.all("section")] == [
        "ranking",
        "curves",
        "classes",
        "matrices",
        "images",
        "details",
    ]


def test_page__of_one_group_compares_nothing(make_comparison, written):
    page = written(make_comparison(labels=("only",)))

    assert [attributes["id"] for attributes in page.all("section")] == [
        "ranking",
        "curves",
        "classes",
        "matrices",
        "details",
    ]
    assert "Better, as far as shown" not in page.text
    assert not any(attributes.get("class") == "badge" for attributes in page.all("span"))


def test_page__where_it_cannot_be_written_nothing_stays(make_comparison, tmp_path):
    (tmp_path / "page.html").mkdir()
    with pytest.raises(OSError):
        write_page(make_comparison(), tmp_path / "page.html")

    assert [path.name for path in tmp_path.glob("*.html*")] + [path.name for path in tmp_path.glob(".*")] == [
        "page.html"
    ]
