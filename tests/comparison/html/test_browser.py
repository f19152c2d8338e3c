"""Page of a comparison in a browser: its script runs without errors or network requests."""

import html
import json
import re
import shutil
import subprocess

import pytest

from lightseg.comparison.html import write_page

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine"),
]

BEFORE = """<script>
const faults = [];
addEventListener("error", (event) => faults.push(event.message ?? event.target.outerHTML), true);
addEventListener("securitypolicyviolation", (event) => faults.push(event.blockedURI));
</script>"""

AFTER = """<script>
addEventListener("load", () => {
  const tip = document.getElementById("tip");
  const told = (action) => (action(), tip.hidden ? null : tip.textContent);
  const press = (element, key) => element.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  const names = () => [...document.querySelectorAll("#ranking tbody th")].map((cell) => cell.textContent.trim());
  const shown = (selector) => getComputedStyle(document.querySelector(selector)).display !== "none";
  const chart = document.querySelector(".chart"), matrix = document.querySelector(".matrix");
  const parameters = document.querySelectorAll("#ranking th button")[1];
  const found = {
    hovered: told(() => matrix.rows[1].cells[2].dispatchEvent(new PointerEvent("pointerover", { bubbles: true }))),
    left: told(() => document.querySelector("h1").dispatchEvent(new PointerEvent("pointerover", { bubbles: true }))),
    chart: told(() => press(chart, "ArrowRight")),
    matrix: told(() => (press(matrix, "ArrowDown"), press(matrix, "ArrowRight"))),
    closed: told(() => press(document.body, "Escape")),
    before: names(),
  };
  document.querySelector("#ranking th[aria-sort] button").click();
  found.after = names();
  document.querySelector("#curves .switch0").click();
  found.switched = [shown("#curves .of0"), shown("#curves .of1"), shown("#classes .of0")];
  found.width = [innerWidth, document.documentElement.scrollWidth];
  found.fetched = performance.getEntriesByType("resource").map((each) => each.name);
  found.faults = faults;
  document.body.innerHTML = "<pre></pre>";
  document.querySelector("pre").textContent = JSON.stringify(found);
});
</script>"""


@pytest.fixture
def browse(tmp_path):
    """Open a page with the probe; return the results of the probe, the console's lines, and the requested URLs."""

    def run(page: str) -> tuple[dict, list[str], list[str]]:
        probed = page.replace("<title>", BEFORE + "<title>", 1).replace("</body>", AFTER + "</body>")
        (tmp_path / "page.html").write_text(probed, encoding="utf-8")
        # a profile of its own; the size is that of a small phone
        options = ("--headless", "--no-sandbox", "--disable-gpu", "--window-size=360,700", "--enable-logging=stderr")
        files = (f"--user-data-dir={tmp_path / 'profile'}", f"--log-net-log={tmp_path / 'net.json'}")
        command = [BROWSER, *options, *files, "--dump-dom", (tmp_path / "page.html").as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        network = json.loads((tmp_path / "net.json").read_text())
        # requests of the browser itself have no origin
        requests = [event["params"] for event in network["events"] if "initiator" in event.get("params", {})]
        urls = [request["url"] for request in requests if request["initiator"] != "not an origin"]
        console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
        return json.loads(html.unescape(re.search("<pre>(.*?)</pre>", done.stdout)[1])), console, urls

    return run


def test_page__runs_and_asks_for_nothing(make_comparison, tmp_path, browse):
    write_page(make_comparison(labels=("big", "small", "<script>alert(1)</script>")), tmp_path / "written.html")
    results, console, urls = browse((tmp_path / "written.html").read_text(encoding="utf-8"))

    assert (console, urls, results["faults"], results["fetched"]) == ([], [], [], [])
    assert results["hovered"] == "sky predicted as road: 5.0 %"
    assert results["left"] is results["closed"] is None
    assert results["chart"] == "step 20\nbig: 40.0, 40.0\nsmall: 40.0, 40.0\n<script>alert(1)</script>: 40.0, 40.0"
    assert results["matrix"] == "road predicted as road: 90.0 %"
    assert results["before"] == ["big best", "small", "<script>alert(1)</script>"]
    assert results["after"] == results["before"][::-1]
    assert results["switched"] == [False, True, True]
    assert results["width"][1] <= results["width"][0] <= 500


def test_browse__would_tell_of_errors_and_requests(make_comparison, tmp_path, browse):
    write_page(make_comparison(), tmp_path / "written.html")
    page = (tmp_path / "written.html").read_text(encoding="utf-8")
    picture = '<main id="main"><img src="http://127.0.0.1:9/picture.png">'
    with_image = page.replace('<main id="main">', picture)
    without_policy = re.sub("<meta http-equiv[^>]*>", "", with_image).replace(
        "<title>", "<script>missing()</script><title>"
    )

    assert "http://127.0.0.1:9/picture.png" in browse(with_image)[0]["faults"]
    results, console, urls = browse(without_policy)
    assert "missing is not defined" in results["faults"][0]
    assert any("missing is not defined" in line for line in console)
    assert "http://127.0.0.1:9/picture.png" in urls
