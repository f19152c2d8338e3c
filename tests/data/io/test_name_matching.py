import pytest

from lightseg.data.io.name_matching import find_misnamed, find_suffix

NAMES = [f"{number:03}" for number in range(10)]


@pytest.mark.parametrize(
    ("masks", "suffix"),
    [
        ([f"{name}_mask" for name in NAMES], "_mask"),
        ([*NAMES[:-1], f"{NAMES[-1]}_mask"], ""),
        ([*NAMES[:2], *(f"{name}-gt" for name in NAMES[2:])], "-gt"),
        ([f"mask_{name}" for name in NAMES], ""),
        (NAMES[:-1], ""),
    ],
)
def test_find_suffix__pairs_more_than_it_unpairs(masks, suffix):
    assert find_suffix(NAMES, masks) == suffix


@pytest.mark.parametrize(
    ("image", "mask"),
    [("003", "003_mask"), ("a/003", "a/mask-003"), ("Road_3", "road_3"), ("img-03", "img_3"), ("image_03", "imge_03")],
)
def test_find_misnamed__slips(image, mask):
    assert find_misnamed([image], [mask]) == [(image, mask)]
    assert find_misnamed([mask], [image]) == [(mask, image)]


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("003", "004"),
        ("frame_0003", "frame_0004"),
        ("a/003", "b/003"),
        ("cat", "dog"),
        ("road_a", "road_b"),
        ("cat", "cat_2"),
    ],
)
def test_find_misnamed__different_samples(image, mask):
    assert find_misnamed([image], [mask]) == []


def test_find_misnamed__an_ambiguous_name_is_none():
    assert find_misnamed(["3"], ["3_a", "3_b"]) == []
    assert find_misnamed(["3_a", "3_b"], ["3"]) == []
