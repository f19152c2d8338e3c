"""Page of an explanation in a browser: no errors, no requests, usable by keyboard and on a phone."""

import numpy as np
import pytest

from lightseg.explanation import attribution
from lightseg.explanation.explanation import explain
from lightseg.explanation.html import write_page
from tests.comparison.html import test_browser
from tests.comparison.html.test_browser import browse  # noqa: F401
from tests.explanation.fabricate import Data, Oracle, discs

pytestmark = test_browser.pytestmark

AFTER = """<script>
addEventListener("load", () => {
  const tip = document.getElementById("tip");
  const told = (action) => (action(), tip.hidden ? null : tip.textContent);
  const press = (element, key) => element.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  const [reliability, uncertain] = document.querySelectorAll(".chart");
  const found = {
    chart: told(() => (press(uncertain, "ArrowRight"), press(uncertain, "ArrowRight"))),
    matrix: told(() => (press(document.querySelector(".matrix"), "ArrowDown"))),
    reliability: told(() => press(reliability, "ArrowRight")),
    stops: [...document.querySelectorAll("[tabindex], a, .chart, .matrix")].every((each) => each.tabIndex === 0),
    broken: [...document.images].filter((each) => !each.complete || !each.naturalWidth).length,
    images: document.images.length,
    width: [innerWidth, document.documentElement.scrollWidth],
    fetched: performance.getEntriesByType("resource").map((each) => each.name).filter((name) => !/^data:/.test(name)),
    faults: faults,
  };
  document.body.innerHTML = "<pre></pre>";
  document.querySelector("pre").textContent = JSON.stringify(found);
});
</script>"""


@pytest.mark.parametrize("kind", ["segmentation", "classification"])
def test_page__runs_and_asks_for_nothing(kind, browse, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setattr(test_browser, "AFTER", AFTER)
    monkeypatch.setattr(attribution, "is_installed", lambda: False)
    images, targets = discs(30)
    if kind == "classification":
        targets = np.random.default_rng(0).integers(0, 3, 30).tolist()
    classes = ["ground", "disc", "square" * 20]
    explanation = explain(
        Oracle(kind, classes, lambda truth: truth.roll(3, -1) if truth.ndim > 1 else 0 * truth),
        Data(images, targets, classes),
        "test",
        2,
    )
    write_page(explanation, "runs/" + 60 * "x", tmp_path / "written.html")
    results, console, urls = browse((tmp_path / "written.html").read_text(encoding="utf-8"))

    assert (console, urls, results["faults"], results["fetched"], results["broken"]) == ([], [], [], [], 0)
    assert results["images"] > 4
    assert results["chart"].startswith("the 10 % most uncertain")
    assert results["matrix"].startswith("disc predicted as ground: ")
    assert results["reliability"].startswith("confidence ")
    assert results["stops"]
    assert results["width"][1] <= results["width"][0] <= 500
