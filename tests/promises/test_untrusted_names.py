"""Untrusted names in pages and terminals, which neither a browser nor a terminal obeys."""

from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from lightseg import compare, doctor, evaluate, explain, predict
from tests.conftest import ROOT

TAG, QUOTES, ESCAPE, MATHS = "<script>x</script>", "\"'><img src=x onerror=x>", "\x1b[2J\x9b", r"$\x$ [/bold] {0} %s"


class Elements(HTMLParser):
    """The elements of a page with their attributes."""

    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))


def obeyed(page):
    """What a page would load or run beside its own script."""
    elements = Elements(page).found
    assert [tag for tag, _ in elements].count("script") == 1
    return [
        (tag, attributes)
        for tag, attributes in elements
        if any(name.startswith("on") for name in attributes)
        or not attributes.get("src", "data:").startswith("data:")
        or not attributes.get("href", "#").startswith("#")
    ]


@pytest.fixture
def recipe(tmp_path):
    """A recipe and its data, of which all that has a name has a hostile one."""
    for index, name in enumerate([TAG.replace("/", "∕"), QUOTES, MATHS.replace("/", "∕"), *"abcde"]):
        mask = np.zeros((32, 32), np.uint8)
        mask[:, 4 * index :] = 1
        for kind, pixels in (("images", np.stack([255 * mask] * 3, -1)), ("masks", mask)):
            (tmp_path / "data" / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / "data" / kind / f"{name}.png")
    path = tmp_path / "hostile.yaml"
    path.write_text(f"""
base: [{ROOT}/configs/data/mask_folder.yaml, {ROOT}/configs/net/unet.yaml]
model: {{init_args: {{net: {{init_args: {{width: 4, depth: 1}}}}}}}}
data:
  init_args:
    root: {tmp_path / "data"}
    classes: ['{TAG}', '{QUOTES.replace("'", "''")} {MATHS}']
    values: {{0: '{TAG}', 1: '{QUOTES.replace("'", "''")} {MATHS}'}}
    test_fraction: 0.3
    batch_size: 2
    num_workers: 0
trainer: {{accelerator: cpu, max_epochs: 1, log_every_n_steps: 1}}
""")
    return path


@pytest.mark.pictures
def test_names__are_shown_and_not_obeyed(recipe, fit, call, tmp_path):
    name = TAG.replace("/", "∕") + QUOTES
    runs = [fit("--config", recipe, "--name", name, "--seed_everything", seed) for seed in (0, 1)]
    assert [run.code for run in runs] == [0, 0], runs[0].err
    place = tmp_path / ESCAPE
    (tmp_path / "runs").rename(place)
    one, two = sorted(place.glob("*/*"))
    # data with such names is refused; an image that is predicted may have one
    (tmp_path / "shown").mkdir()
    Image.new("RGB", (32, 32)).save(tmp_path / "shown" / f"{ESCAPE}.png")
    (tmp_path / "shown" / f"broken{ESCAPE}.png").write_text("")
    pages = [tmp_path / "compared.html", one / "explain.html"]
    printed = [run.out + run.err for run in runs]
    for main, *arguments in (
        (compare.main, one, two, "--by", "seed_everything", "--html", pages[0]),
        (explain.main, one, "--images", "1"),
        (evaluate.main, one, "--split", "val"),
        (doctor.main, recipe, "--out", tmp_path / "looked"),
        (predict.main, one, tmp_path / "data/images", tmp_path / "shown", "--out", tmp_path / "predicted"),
    ):
        code, out, err = call(main, *arguments)
        # an image is broken
        assert code == (main is predict.main), err
        printed.append(out + err)
    for text in printed:
        assert not {"\x1b", "\x9b"} & set(text), text
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert obeyed(text) == []
        assert not {"\x1b", "\x9b"} & set(text)
        assert "&lt;script&gt;x&lt;/script&gt;" in text
        assert "onerror" in text


def test_obeyed__finds_what_it_looks_for():
    script = "<script></script>"
    assert obeyed(f"{script}<p title='a &lt;b&gt;' class=x>&lt;img src=x&gt;</p><img src='data:x'>") == []
    assert len(obeyed(f"{script}<img src=x><p onclick=x></p><a href=http:></a>")) == 3
