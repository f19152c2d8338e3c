"""Training outside of a test, for runs that many tests share because none of them changes them."""

from pathlib import Path

import pytest

from lightseg.fit import main


def train(folder: Path, recipe: str, *options: str) -> Path:
    """Train a recipe in a folder outside of any test, and return the run folder."""
    (folder / "recipe.yaml").write_text(recipe)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIGHTSEG_CACHE", str(folder / "cache"))
        patch.setattr("lightseg.training.report._draw", lambda *_: [])
        patch.setattr("lightseg.training.run.disable_malloc_trim", lambda: None)
        assert main(["--config", str(folder / "recipe.yaml"), "--runs_dir", str(folder / "runs"), *options]) == 0
    return next(folder.glob("runs/recipe/*"))
