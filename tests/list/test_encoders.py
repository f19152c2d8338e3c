"""Encoders of the libraries."""

import os
import subprocess
import sys

from tests.conftest import ROOT
from tests.list.call import CALL


def test_encoders__are_those_of_the_libraries_and_cached(rows):
    import timm

    table = {row["name"]: row for row in rows("encoders") if row["library"] == "timm"}
    assert list(table) == timm.list_models()
    assert table["vit_small_patch14_dinov2"] == {
        "name": "vit_small_patch14_dinov2", "library": "timm", "image": 518, "weights": ["lvd142m"],
    }  # fmt: skip
    assert table["test_maxvit"]["weights"] == []
    pretrained = {
        f"{row['name']}.{tag}"
        for row in rows("encoders", "--pretrained")
        if row["library"] == "timm"
        for tag in row["weights"]
    }
    assert pretrained == set(timm.list_pretrained())
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", CALL, "encoders"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.endswith("\n[]\n")
    assert [(row["name"], row["library"], row["weights"]) for row in rows("encoders", "mit_b*")] == [
        (f"mit_b{size}", "smp", ["imagenet"]) for size in range(6)
    ]
