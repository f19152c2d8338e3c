"""Drawing of outlines: pixels whose centers are inside, by exact arithmetic."""

from fractions import Fraction

import numpy as np
import pytest

from lightseg.data.annotations.draw import DrawnShape, draw, draw_channels, rasterize
from lightseg.data.annotations.objects import Bitmap, Polygons, ellipse
from lightseg.errors import DataError
from lightseg.labels import IGNORE

SIZE = (9, 13)


def area(*rings):
    return Polygons([np.array(ring, np.float64) for ring in rings])


def drawn(shape, size=SIZE):
    """The pixels of a shape in its image."""
    return draw([DrawnShape(shape, 1)], size, 0).astype(bool)


def enclosed(ring, size=SIZE):
    """Pixels whose center a ray to the left leaves through an odd number of edges, in exact numbers."""
    points = [(Fraction(x), Fraction(y)) for x, y in ring]
    edges = list(zip(points, points[1:] + points[:1], strict=True))
    result = np.zeros(size, bool)
    for row, column in np.ndindex(size):
        x, y = Fraction(2 * column + 1, 2), Fraction(2 * row + 1, 2)
        for (ax, ay), (bx, by) in edges:
            if (ay <= y) != (by <= y) and ax + (bx - ax) * (y - ay) / (by - ay) <= x:
                result[row, column] ^= True
    return result


def test_draw__a_rectangle_of_whole_numbers_has_the_pixels_between_them():
    expected = np.zeros(SIZE, bool)
    expected[2:5, 3:10] = True
    assert drawn(area([(3, 2), (10, 2), (10, 5), (3, 5)])).tolist() == expected.tolist()


@pytest.mark.parametrize("seed", range(20))
def test_draw__any_outline_has_the_pixels_whose_centers_it_encloses(seed):
    # some corners outside of the image, some edges through centers, most of them across each other
    ring = np.random.default_rng(seed).integers(-4, 30, (3 + seed % 6, 2)) / 2
    assert drawn(area(ring)).tolist() == enclosed(ring.tolist()).tolist()


def test_draw__neighbors_with_a_common_border_cover_each_pixel_once():
    rng = np.random.default_rng(0)
    border = np.column_stack([rng.uniform(3, 10, 12), np.linspace(-1, 10, 12)])
    left, right = [(-2, -1), *border, (-2, 10)], [*border, (20, 10), (20, -1)]
    assert (drawn(area(left)) ^ drawn(area(right))).all()


def test_draw__an_outline_to_a_hole_and_back_has_the_hole():
    outer, hole = [(1, 1), (11.3, 1), (11.3, 8), (1, 8)], [(4, 3), (4, 6), (7.2, 6), (7.2, 3)]
    mask = drawn(area([*outer, outer[0], *hole, hole[0], outer[0]]))
    assert mask.tolist() == (drawn(area(outer)) & ~drawn(area(hole))).tolist()


def test_draw__parts_that_overlap_are_one_object():
    parts = [(1, 1), (6, 1), (6, 6), (1, 6)], [(4, 4), (9, 4), (9, 8), (4, 8)]
    assert drawn(area(*parts)).tolist() == (drawn(area(parts[0])) | drawn(area(parts[1]))).tolist()


def test_draw__a_bitmap_is_clipped():
    mask = drawn(Bitmap(np.ones((4, 5), bool), -2, 11))
    assert np.argwhere(mask).tolist() == [[0, 11], [0, 12], [1, 11], [1, 12]]
    assert not drawn(Bitmap(np.ones((2, 2), bool), 20, -9)).any()


def test_draw__an_ellipse_is_that_of_its_equation():
    y, x = np.mgrid[:40, :50] + 0.5
    turned_x, turned_y = (x - 24 + y - 19) / np.sqrt(2), (y - 19 - x + 24) / np.sqrt(2)
    inside = (turned_x / 16.3) ** 2 + (turned_y / 7.4) ** 2
    assert np.abs(inside - 1).min() > 1e-3
    assert drawn(Polygons([ellipse(24, 19, 16.3, 7.4, 45)]), (40, 50)).tolist() == (inside < 1).tolist()


def test_draw__overlap():
    large, small = area([(0, 0), (8, 0), (8, 8), (0, 8)]), area([(6, 6), (12, 6), (12, 8), (6, 8)])
    by_order = draw([DrawnShape(small, 1), DrawnShape(large, 2)], SIZE, 0)
    by_area = draw([DrawnShape(small, 1), DrawnShape(large, 2)], SIZE, 0, "area")
    assert (by_order[7, 5], by_order[7, 7], by_order[7, 9], by_order[0, 9]) == (2, 2, 1, 0)
    assert (by_area[7, 5], by_area[7, 7], by_area[7, 9], by_area[0, 9]) == (2, 1, 1, 0)


def test_draw__of_equal_areas_the_last_one_is_above():
    shapes = [area([(x, 0), (x + 3, 0), (x + 3, 3), (x, 3)]) for x in (1, 0, 2)]
    mask = draw([DrawnShape(shape, label) for label, shape in enumerate(shapes, 1)], SIZE, 0, "area")
    assert mask[0, :6].tolist() == [2, 2, 3, 3, 3, 0]


def test_draw_channels__overlaps_are_kept_and_void_is_above():
    def columns(left, right):
        return area([(left, 0), (right, 0), (right, 9), (left, 9)])

    shapes = [
        DrawnShape(columns(4, 6), IGNORE, is_void=True),
        DrawnShape(columns(0, 5), 0),
        DrawnShape(columns(2, 9), 1),
        DrawnShape(columns(8, 11), 1, is_void=True),
    ]
    mask = draw_channels(shapes, SIZE, 2)
    assert (mask == mask[0]).all()
    assert mask[0, :, 0].tolist() == [1, 1, 1, 1, IGNORE, IGNORE, 0, 0, 0, 0, 0, 0, 0]
    assert mask[0, :, 1].tolist() == [0, 0, 1, 1, IGNORE, IGNORE, 1, 1, IGNORE, IGNORE, IGNORE, 0, 0]


def test_rasterize__an_outline_that_takes_too_much_memory_is_refused():
    zigzag = np.column_stack([np.arange(5000), np.arange(5000) % 2 * 10_000])
    with pytest.raises(DataError, match="an outline of 5000 points crosses .* simplify it"):
        rasterize(Polygons([zigzag.astype(np.float64)]), (10_000, 10_000))


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_draw__polygons_of_coco_differ_from_its_own_library_at_the_outline_alone():
    from pycocotools import mask as coder

    for seed in range(10):
        ring = np.random.default_rng(seed).uniform(0, 60, (5, 2))
        theirs = coder.decode(coder.merge(coder.frPyObjects([ring.ravel().tolist()], 64, 64))).astype(bool)
        ours = drawn(area(ring), (64, 64))
        # the library rounds corners to a fifth of a pixel
        ends = np.stack([ring, np.roll(ring, -1, 0)], 1)
        for row, column in np.argwhere(ours ^ theirs):
            assert distance(np.array([column + 0.5, row + 0.5]), ends) < 0.5
        assert (ours ^ theirs).mean() < 0.01


def distance(point, ends):
    """Distance of a point to the nearest edge."""
    start, along = ends[:, 0], ends[:, 1] - ends[:, 0]
    share = (((point - start) * along).sum(1) / (along**2).sum(1)).clip(0, 1)
    return np.hypot(*(start + along * share[:, None] - point).T).min()
