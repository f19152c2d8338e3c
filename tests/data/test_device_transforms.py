import pytest
import torch

from lightseg.data.device_transforms import AlternatingFlip, Cutout, RandomFlip, RandomTranslate, apply_transforms
from lightseg.data.transforms.counter_rng import Draws, below
from lightseg.errors import ConfigError
from lightseg.labels import IGNORE

IMAGE = torch.arange(12, dtype=torch.uint8).reshape(3, 4)


def draws(count, epoch=0, seed=0):
    return Draws.of(seed, epoch, torch.arange(count), torch.arange(count))


def batch(count):
    """Images that tell their pixels apart in two channels, with masks that show the same pixels."""
    images = torch.stack([IMAGE, IMAGE + 100]).expand(count, -1, -1, -1)
    return images, IMAGE.long().expand(count, -1, -1)


def moved(image, down, right, fill=None):
    """Translate an image pixel by pixel, with reflection unless a fill is given."""
    height, width = len(image), len(image[0])
    result = []
    for row in range(height):
        result.append([])
        for column in range(width):
            y, x = row - down, column - right
            if fill is not None and not (0 <= y < height and 0 <= x < width):
                result[-1].append(fill)
                continue
            y, x = (-place if place < 0 else place for place in (y, x))
            y = 2 * (height - 1) - y if y >= height else y
            x = 2 * (width - 1) - x if x >= width else x
            result[-1].append(image[y][x])
    return result


def test_random_translate__by_hand():
    images, masks = batch(200)
    outputs, targets = RandomTranslate(2)(images, masks, draws(200))
    shifts = [[(below(draws(200).positions, 5, number) - 2).tolist() for number in (0, 1)]]
    assert {*zip(*shifts[0], strict=True)} == {(down, right) for down in range(-2, 3) for right in range(-2, 3)}
    for index, (down, right) in enumerate(zip(*shifts[0], strict=True)):
        expected = moved(IMAGE.tolist(), down, right)
        assert outputs[index, 0].tolist() == targets[index].tolist() == expected
        assert outputs[index, 1].tolist() == [[value + 100 for value in row] for row in expected]
    assert outputs.dtype == torch.uint8


def test_random_translate__zeros_are_void():
    images, masks = batch(50)
    outputs, targets = RandomTranslate(1, "zero")(images, masks, draws(50))
    down, right = (below(draws(50).positions, 3, number) - 1 for number in (0, 1))
    for index in range(50):
        shift = int(down[index]), int(right[index])
        assert outputs[index, 1].tolist() == moved((IMAGE + 100).tolist(), *shift, fill=0)
        assert targets[index].tolist() == moved(IMAGE.tolist(), *shift, fill=IGNORE)
    assert outputs.dtype == torch.uint8


def test_random_flip__mirrors_as_often_as_asked_for_and_masks_with_images():
    images, masks = batch(1000)
    outputs, targets = RandomFlip(0.25)(images, masks, draws(1000))
    mirrored = [image.tolist() == IMAGE.flip(-1).tolist() for image in outputs[:, 0]]
    # 250 in the mean, with a standard deviation of 14
    assert 180 < sum(mirrored) < 320
    for flipped, image, mask in zip(mirrored, outputs[:, 0], targets, strict=True):
        assert image.tolist() == mask.tolist() == (IMAGE.flip(-1) if flipped else IMAGE).tolist()


@pytest.mark.parametrize(("p", "expected"), [(0.0, IMAGE), (1.0, IMAGE.flip(-1))])
def test_random_flip__never_and_always(p, expected):
    images, masks = batch(100)
    assert (RandomFlip(p)(images, masks, draws(100))[0][:, 0] == expected).all()


def test_alternating_flip__shows_both_sides_in_two_epochs():
    images, masks = batch(100)
    sides = []
    for epoch in range(4):
        # wherever a sample is in the order of an epoch
        order = torch.randperm(100, generator=torch.Generator().manual_seed(epoch))
        chance = Draws.of(3, epoch, torch.arange(100), order)
        outputs = AlternatingFlip()(images, masks, chance)[0]
        side = torch.zeros(100, dtype=torch.bool)
        side[order] = (outputs[:, 0] == IMAGE.flip(-1)).all(2).all(1)
        sides.append(side)
    assert (sides[0] != sides[1]).all()
    assert (sides[0] == sides[2]).all()
    assert (sides[1] == sides[3]).all()
    assert 30 < int(sides[0].sum()) < 70


@pytest.mark.parametrize(("dtype", "grey"), [(torch.uint8, 51), (torch.float32, 0.2)])
def test_cutout__by_hand(dtype, grey):
    images = torch.ones(200, 3, 5, 7).to(dtype)
    labels = torch.arange(200)
    outputs, targets = Cutout(3, 0.2)(images, labels, draws(200))
    rows, columns = below(draws(200).positions, 5, 0), below(draws(200).positions, 7, 1)
    expected = images.clone()
    for index in range(200):
        y, x = int(rows[index]) - 1, int(columns[index]) - 1
        expected[index, :, max(0, y) : y + 3, max(0, x) : x + 3] = grey
    assert torch.equal(outputs, expected)
    assert targets is labels


def test_apply_transforms__each_has_independent_random_numbers():
    images, masks = batch(200)
    once = apply_transforms([RandomFlip()], images, masks, draws(200))[0]
    twice = apply_transforms([RandomFlip(), RandomFlip()], images, masks, draws(200))[0]
    # with the same chance the second would undo what the first did
    assert 60 < sum(not torch.equal(image, IMAGE) for image in twice[:, 0]) < 140
    assert not torch.equal(once, twice)
    assert torch.equal(images, batch(200)[0])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandomFlip(1.5), "p: must be 0 to 1, got 1.5"),
        (lambda: RandomTranslate(0), "pixels: must be 1 or more, got 0"),
        (lambda: RandomTranslate(2, "grey"), "must be reflect or zero, got 'grey'"),
        (lambda: Cutout(0), "size: must be 1 or more, got 0"),
        (lambda: Cutout(2, 7.0), "fill: must be 0 to 1, got 7.0"),
        (lambda: RandomTranslate(3)(*batch(1), draws(1)), "must be below the sides of the images, 3×4, got 3"),
    ],
)
def test_options__out_of_range(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


@pytest.mark.parametrize(
    "transform",
    [RandomFlip(), AlternatingFlip(), RandomTranslate(2), RandomTranslate(1, "zero"), Cutout(2)],
    ids=lambda transform: type(transform).__name__,
)
def test_channels__move_like_a_mask_and_the_classes_of_an_image_stay(transform):
    images, masks = batch(3)
    # as many channels as samples, so that a shape that broadcasts by mistake is noticed
    channels = torch.stack([masks, masks + 20, masks + 40], 1).to(torch.uint8)
    _, moved_masks = transform(images, masks, draws(3))
    _, moved_channels = transform(images, channels, draws(3))
    for label in range(3):
        offset = 20 * label * (moved_masks != IGNORE)
        assert torch.equal(moved_channels[:, label].long(), moved_masks + offset)
    assert moved_channels.dtype == torch.uint8
    labels = torch.tensor([[0, 1, IGNORE]] * 3, dtype=torch.uint8)
    assert torch.equal(transform(images, labels, draws(3))[1], labels)
