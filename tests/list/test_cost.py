"""Parameters and operations, against published numbers and real nets."""

import pytest

from lightseg.nets import FCN
from lightseg.nets.heads import HEADS, Levels, build_head


def test_encoders__cost(rows):
    row, of_smp = rows("encoders", "[r]esnet18", "--measure")
    # of the paper: 11.7 million with the classifier's 0.513, 1.8 billion multiplications and additions
    assert row["M"] == pytest.approx(11.689512 - 0.513)
    assert row["GFLOPs"] == pytest.approx(2 * 1.814, rel=0.01)
    assert (row["strides"], row["at"]) == ([2, 4, 8, 16, 32], 224)
    assert (of_smp["library"], of_smp["M"], of_smp["strides"]) == ("smp", row["M"], row["strides"])


def test_heads__cost_on_an_encoder(rows):
    table = {row["name"]: row for row in rows("heads", "--measure", "--encoder", "resnet18")}
    assert table.keys() == HEADS.keys()
    levels = Levels((64, 128, 256, 512), (4, 8, 16, 32))
    for name, row in table.items():
        head = build_head(name, 21, levels, None)
        assert row["M"] == sum(parameter.numel() for parameter in head.parameters()) / 1e6
    # 21 classes, and all channels of each level
    pixels = [56 * 56, 28 * 28, 14 * 14, 7 * 7]
    operations = sum(2 * 21 * channels * count for channels, count in zip(levels.channels, pixels, strict=True))
    assert table["linear"]["GFLOPs"] == pytest.approx(operations / 1e9)


def test_nets__cost(rows):
    (row,) = rows("nets", "FCN", "--measure")
    assert row["M"] == sum(parameter.numel() for parameter in FCN(21).parameters()) / 1e6
