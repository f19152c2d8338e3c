"""Nearest existing path to a misspelt one."""

from pathlib import Path

import pytest

from lightseg.files.nearest import nearest_path


@pytest.mark.parametrize(
    ("path", "nearest"),
    [
        ("runs/unet/20260102T030405-a1b2", "runs/unet/20260102T030405-a1b2"),
        ("runs/unt/20260102T030405-a1b", "runs/unet/20260102T030405-a1b2"),
        ("run/UNET", "runs/unet"),
        ("./runs/zzzz", None),
        ("nothing/unet", None),
        ("", "."),
    ],
)
@pytest.mark.parametrize("is_absolute", [False, True])
def test_nearest_path(path, nearest, is_absolute, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs/unet/20260102T030405-a1b2").mkdir(parents=True)
    root = tmp_path if is_absolute else Path()
    assert nearest_path(root / path) == (None if nearest is None else root / nearest)
