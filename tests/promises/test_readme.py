"""Code, links and recipes of the README."""

import re

from tests.conftest import ROOT

BLOCKS = dict(re.findall(r"```python\n  # (\w+\.py)\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL))


def test_readme__own_net_and_own_data(fit, recipe, tmp_path):
    for name, code in BLOCKS.items():
        (tmp_path / name).write_text(re.sub(r"^  ", "", code, flags=re.MULTILINE))
    assert set(BLOCKS) == {"my_net.py", "my_data.py"}
    # the files lie beside the recipe, and the command is given in another folder
    outcome = fit(
        *("--config", recipe(), "--model.net", "my_net.MyNet", "--data", "my_data.MyData"),
        *("--data.num_workers", "0", "--trainer.max_epochs", "1"),
    )
    assert outcome.code == 0
    assert outcome.metrics["test/iou/bright"] is not None


def test_readme__links_and_recipes_exist():
    text = (ROOT / "README.md").read_text()
    assert "@@" not in text
    for path in re.findall(r"(?:experiments|configs)/[\w/]+\.(?:yaml|md)", text):
        assert (ROOT / path).is_file(), path
    for link in re.findall(r"\]\(([^)]+)\)", text):
        path, _, heading = link.partition("#")
        assert (ROOT / path).is_file(), link
        assert not heading or f"## {heading.replace('-', ' ')}" in (ROOT / path).read_text().lower(), link
