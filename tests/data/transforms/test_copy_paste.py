import numpy as np
import pytest

from lightseg.data.sample_index import mix
from lightseg.data.transforms.copy_paste import CopyPaste, cut
from lightseg.labels import IGNORE
from tests.data.in_memory import InMemoryDataset

# class 1 is an L of 19 pixels, with void and background in its box; every pixel of the image has its own value
SHAPE = np.zeros((12, 14), np.uint8)
SHAPE[2:9, 3:5] = 1
SHAPE[7:9, 5:8] = 1
SHAPE[2, 4] = 0
SHAPE[3, 6] = IGNORE
COLORS = np.arange(1, 12 * 14 * 3 + 1).reshape(12, 14, 3)


DONOR = ((COLORS % 255 + 1).astype(np.uint8), SHAPE)


def _paste(*donors, rare=(1,), probability=1.0):
    dataset = InMemoryDataset(*(donors or [DONOR]))
    return CopyPaste(dataset, dataset.class_table(4), rare, probability)


def _empty(height=20, width=20, dtype=np.uint8):
    return np.zeros((height, width, 3), dtype), np.zeros((height, width), np.uint8)


def _colors(image, cover):
    return sorted(map(tuple, image[cover].tolist()))


def test_paste__pixels_keep_their_class_and_their_values():
    for seed in range(50):
        image, mask = _paste()(*_empty(), seed)
        assert _colors(image, mask == 1) == _colors(DONOR[0], SHAPE == 1)


def test_paste__the_object_alone_without_void_or_background():
    for seed in range(50):
        image, mask = _paste()(*_empty(), seed)
        assert set(np.unique(mask)) == {0, 1}
        assert (image[mask == 0] == 0).all()
        rows, columns = np.nonzero(mask)
        box = mask[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        object_mask = (SHAPE[2:9, 3:8] == 1).astype(np.uint8)
        assert np.array_equal(box, object_mask) or np.array_equal(box, object_mask[:, ::-1])


def test_paste__void_stays_void():
    image, mask = _empty(9, 9)
    mask[:, :4] = IGNORE
    image[:, :4] = 7
    reached = 0
    for seed in range(50):
        pasted, truth = _paste()(image, mask, seed)
        assert (truth[:, :4] == IGNORE).all()
        assert (pasted[:, :4] == 7).all()
        reached += int((truth == 1).sum() < 19)
    assert reached > 10


def test_paste__rare_objects_are_not_covered():
    image, mask = _empty(9, 9)
    mask[3:6], image[3:6] = 2, 9
    mask[7], image[7] = 1, 8
    mask[0], image[0] = 3, 5
    covered_common = 0
    for seed in range(50):
        pasted, truth = _paste(rare=(1, 2))(image, mask, seed)
        assert (truth[3:6] == 2).all()
        assert (truth[7] == 1).all()
        assert (pasted[3:6] == 9).all()
        assert (pasted[7] == 8).all()
        covered_common += int((truth[0] == 1).any())
    assert covered_common > 5


def test_paste__is_a_function_of_the_seed_and_changes_no_input():
    image, mask = _empty()
    paste, second = _paste(probability=0.7), _paste(probability=0.7)
    second(image, mask, 5)
    results = [paste(image, mask, seed) for seed in range(20)]
    for seed, (pasted, truth) in enumerate(results):
        again = second(image, mask, seed)
        assert np.array_equal(pasted, again[0])
        assert np.array_equal(truth, again[1])
    assert len({truth.tobytes() for _, truth in results}) > 10
    assert not image.any()
    assert not mask.any()


def test_paste__probability_is_the_share():
    pasted = sum(bool(_paste(probability=0.3)(*_empty(), mix(seed))[1].any()) for seed in range(400))
    assert 80 < pasted < 160


def test_paste__an_object_lies_anywhere_it_fits():
    # 7 × 5 pixels in 8 × 6: two rows by two columns
    places = set()
    for seed in range(40):
        rows, columns = np.nonzero(_paste()(*_empty(8, 6), seed)[1])
        places.add((rows.min(), columns.min()))
    assert places == {(0, 0), (0, 1), (1, 0), (1, 1)}


@pytest.mark.parametrize("size", [(6, 20), (20, 4)])
def test_paste__not_larger_than_the_image(size):
    assert not any(_paste()(*_empty(*size), seed)[1].any() for seed in range(5))


def test_paste__as_large_as_the_image_fits():
    assert (_paste()(*_empty(7, 5), 0)[1] == 1).sum() == 19


def test_paste__eight_bits_and_more_are_not_mixed():
    assert not any(_paste()(*_empty(dtype=np.float32), seed)[1].any() for seed in range(5))
    deep = (DONOR[0] / np.float32(255), SHAPE)
    image, mask = _paste(deep)(*_empty(dtype=np.float32), 0)
    assert _colors(image, mask == 1) == _colors(deep[0], SHAPE == 1)


def test_paste__classes_then_samples_are_drawn_alike():
    donor_mask = SHAPE * 2 * (SHAPE == 1)
    dark = np.full_like(DONOR[0], 1), donor_mask
    light = np.full_like(DONOR[0], 200), donor_mask
    # class 3 is rare by name and never occurs
    paste = _paste(DONOR, DONOR, DONOR, DONOR, dark, light, rare=(1, 2, 3))
    results = [paste(*_empty(), mix(seed)) for seed in range(400)]
    second = [image.max() for image, mask in results if mask.max() == 2]
    assert 150 < len(second) < 250
    assert 0.35 < np.mean(np.equal(second, 200)) < 0.65


def test_paste__none_without_a_rare_class():
    assert not _paste(rare=(3,))(*_empty(), 0)[1].any()


def _pieces(mask, seeds=60):
    image = np.repeat(np.arange(mask.size, dtype=np.uint8).reshape(mask.shape)[..., None], 3, 2)
    cutouts = [cut(image, mask, 1, np.random.default_rng(seed)) for seed in range(seeds)]
    return cutouts, [frozenset(cutout.image[cutout.cover][:, 0].tolist()) for cutout in cutouts]


def test_cut__a_piece_holds_together_by_corners():
    mask = np.zeros((10, 10), np.uint8)
    mask[0:4, 0:4] = mask[4:8, 4:8] = 1
    cutouts, pieces = _pieces(mask)
    assert set(pieces) == {frozenset(np.flatnonzero(mask).tolist())}
    # mirrored half the time
    assert 15 < sum(int(cutout.cover[0, 0]) for cutout in cutouts) < 45


def test_cut__single_component():
    mask = np.zeros((4, 15), np.uint8)
    mask[:, :4], mask[:, 6:] = 1, 1
    _, pieces = _pieces(mask)
    assert {len(piece) for piece in pieces} == {16, 36}
    assert 15 < pieces.count(min(pieces, key=len)) < 45


def test_cut__a_piece_inside_the_box_of_another_is_left_there():
    mask = np.zeros((10, 10), np.uint8)
    mask[0], mask[:, 0], mask[4:8, 4:8] = 1, 1, 1
    _, pieces = _pieces(mask)
    assert {len(piece) for piece in pieces} == {19, 16}


def test_cut__specks_only_without_larger_components():
    mask = np.zeros((6, 12), np.uint8)
    mask[0, 0] = mask[5, 0:3] = 1
    _, pieces = _pieces(mask)
    assert {len(piece) for piece in pieces} == {1, 3}
    mask[0:4, 6:10] = 1
    _, pieces = _pieces(mask)
    assert {len(piece) for piece in pieces} == {16}


# ---- a mask for each class -----------------------------------------------------------------------------------------


def _channels(mask, *labels, count=3):
    """Return a mask for each of some classes, present where the mask of class ids says."""
    channels = np.zeros((*mask.shape, count), np.uint8)
    for label in labels:
        channels[..., label] = mask == 1
    return channels


def test_channels__other_classes_of_the_object_come_with_it():
    donor = DONOR[0], _channels(SHAPE, 0, 1)
    dataset = InMemoryDataset(donor)
    paste = CopyPaste(dataset, np.array([[19, 19, 0]]), (1,), 1.0)
    image, mask = _empty()[0], np.zeros((20, 20, 3), np.uint8)
    mask[..., 2] = 1
    for seed in range(30):
        pasted, truth = paste(image, mask, seed)
        cover = truth[..., 1] == 1
        assert cover.sum() == 19
        assert np.array_equal(truth[..., 0] == 1, cover)
        # the pixels under the object show the third class no more
        assert np.array_equal(truth[..., 2] == 0, cover)
        assert _colors(pasted, cover) == _colors(DONOR[0], SHAPE == 1)
    assert (mask[..., :2] == 0).all()


def test_channels__rare_classes_and_pixels_void_for_all_are_not_covered():
    paste = CopyPaste(InMemoryDataset((DONOR[0], _channels(SHAPE, 1))), np.array([[0, 19, 0]]), (1,), 1.0)
    mask = np.zeros((9, 9, 3), np.uint8)
    mask[:, :2] = IGNORE
    mask[:, 2, 1] = 1
    mask[:, 3:, 0] = IGNORE
    covered = 0
    for seed in range(50):
        _, truth = paste(_empty(9, 9)[0], mask, seed)
        assert (truth[:, :2] == IGNORE).all()
        assert (truth[:, 2] == [0, 1, 0]).all()
        covered += int((truth[:, 3:, 1] == 1).sum())
    assert covered
