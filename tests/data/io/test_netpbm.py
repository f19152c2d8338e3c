"""PBM, PGM and PPM files by hand."""

import numpy as np
import pytest

from lightseg.data.io.netpbm import read_netpbm


@pytest.mark.parametrize(
    ("data", "expected", "white"),
    [
        # a bit of 1 is black
        (b"P1 3 1\n1 0 1", [[0, 1, 0]], 1),
        (b"P4 3 1\n\xa0", [[0, 1, 0]], 1),
        (b"P2\n# comment\n2 2 7\n0 1\n2 7", [[0, 1], [2, 7]], 7),
        (b"P5 2 1 255\n\x00\xff", [[0, 255]], 255),
        (b"P5 2 1 1000\n\x01\x00\x03\xe8", [[256, 1000]], 1000),
    ],
)
def test_read_netpbm__gray_by_hand(data, expected, white):
    image, value = read_netpbm(data)
    assert image[..., 0].tolist() == expected
    assert value == white
    assert image.dtype == (np.uint8 if white < 256 else np.uint16)


def test_read_netpbm__color_by_hand():
    for data in (b"P3 1 2 9 1 2 3 4 5 6", b"P6 1 2 9\n\x01\x02\x03\x04\x05\x06"):
        assert read_netpbm(data)[0].tolist() == [[[1, 2, 3]], [[4, 5, 6]]]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"P7 1 1", "only PBM, PGM and PPM"),
        (b"P2 a 1 7", "header is broken"),
        (b"P2 0 1 7", "its header gives 0×1"),
        (b"P2 2 1 7 0", "it ends too early"),
        (b"P5 2 1 7\n\x00", "buffer is smaller"),
        (b"P5 1 1 7\n\x08", "it holds 8, but its white is 7"),
    ],
)
def test_read_netpbm__damaged(data, message):
    with pytest.raises(ValueError, match=message):
        read_netpbm(data)
