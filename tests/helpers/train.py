"""A run that many tests share, since none of them changes it."""

from pathlib import Path

import pytest

from lightseg.fit import main


def train(place: Path, recipe: str, *options: str) -> Path:
    """Train a recipe in a folder of its own, outside of any test; the run folder."""
    (place / "recipe.yaml").write_text(recipe)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIGHTSEG_CACHE", str(place / "cache"))
        patch.setattr("lightseg.training.report._draw", lambda *_: [])
        assert main(["--config", str(place / "recipe.yaml"), "--runs_dir", str(place / "runs"), *options]) == 0
    return next(place.glob("runs/recipe/*"))
