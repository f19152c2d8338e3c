"""Images of a page."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from lightseg.labels import IGNORE
from lightseg.visualization.html.images import embed_image, mask_colors


def _decode(embedded):
    header, _, content = embedded.source.partition(",")
    return header, np.array(Image.open(io.BytesIO(base64.b64decode(content))))


def test_embed_image__masks_keep_their_colors():
    mask = np.random.default_rng(0).integers(0, 256, (20, 40, 3)).astype(np.uint8)
    embedded = embed_image(mask, longest=40)
    header, pixels = _decode(embedded)
    assert header == "data:image/png;base64"
    assert np.array_equal(pixels, mask)
    reduced = embed_image(mask, longest=10)
    assert (reduced.width, reduced.height) == (10, 5)
    assert {tuple(color) for color in _decode(reduced)[1].reshape(-1, 3)} <= {tuple(c) for c in mask.reshape(-1, 3)}


def test_embed_image__photos_are_averaged():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 200
    header, pixels = _decode(embed_image(stripes, is_photo=True, longest=16))
    assert header == "data:image/jpeg;base64"
    assert pixels.shape == (16, 16, 3)
    assert pixels.mean() == pytest.approx(100, abs=3)


def test_mask_colors__of_the_classes_that_occur_and_void_last():
    palette = [(1, 2, 3), (4, 5, 6), (7, 8, 9)]
    masks = [np.array([[2, IGNORE]], np.uint8), np.array([[0]], np.int64)]
    assert mask_colors(["a", "b", "c"], palette, masks) == [("a", (1, 2, 3)), ("c", (7, 8, 9)), ("void", (255,) * 3)]
    assert mask_colors(["a", "b", "c"], palette, masks[1:]) == [("a", (1, 2, 3))]


def test_mask_colors__of_classes_that_overlap():
    palette = [(1, 2, 3), (4, 5, 6)]
    mask = np.array([[[0, 1]], [[0, 0]]], np.uint8)
    assert mask_colors(["a", "b"], palette, [mask]) == [("a", (1, 2, 3))]
    mask[1, 0, 0] = IGNORE
    assert mask_colors(["a", "b"], palette, [mask]) == [("a", (1, 2, 3)), ("void", (255,) * 3)]
