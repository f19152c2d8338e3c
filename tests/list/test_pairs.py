"""Pairs of an encoder with a head or an architecture."""

import pytest

from lightseg.errors import UserError
from lightseg.list import main
from lightseg.list.pairs import FAMILIES, list_pairs
from lightseg.nets.heads import HEADS


@pytest.mark.slow
def test_pairs__names_what_builds_and_why_not(call, rows):
    (row,) = rows("pairs", "[t]est_vit")
    assert row["name"] == "test_vit"
    assert row["image"] == "/16"
    assert all(row[head] > 0 for head in HEADS)
    assert row["SmpNet"] == ["dpt"]
    assert "SMP cannot build unet with encoder test_vit" in row["reasons"]["unet"]
    code, out, _ = call(main, "pairs", "[t]est_vit")
    assert code == 0
    assert "test_vit × unet: SMP cannot build unet" in out


def test_pairs__an_unknown_encoder_is_named():
    with pytest.raises(UserError, match="^pairs: no name matches 'resnett18'; did you mean resnet18"):
        list_pairs("resnett18")


def test_families__are_encoders_of_timm():
    import timm

    assert set(FAMILIES) <= set(timm.list_models())
