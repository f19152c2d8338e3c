"""Spans of windows and their blended values."""

import pytest
import torch

from lightseg.inference.windows import slide, spans


def _values(images):
    """Apply a net whose receptive field is one pixel."""
    return torch.cat([images.cos(), images.sin()], 1) * 10


def _assemble(net, image, window, overlap, batch=None):
    values = torch.full((len(net(image[None])[0]), *image.shape[1:]), torch.nan)
    for top, x, block in slide(net, lambda a, b: image[:, a:b], tuple(image.shape[1:]), window, overlap, batch):
        region = slice(top, top + block.shape[1]), slice(x, x + block.shape[2])
        assert values[:, *region].isnan().all(), "blocks cover the image once"
        values[:, *region] = block
    return values


@pytest.mark.parametrize("overlap", [0, 0.1, 0.25, 0.5, 0.8])
@pytest.mark.parametrize(("side", "window"), [(100, 32), (97, 32), (33, 32), (32, 32), (20, 32), (2000, 512)])
def test_spans__cover_the_axis_with_weights_that_add_up_to_one(side, window, overlap):
    windows, total = spans(side, window, overlap), torch.zeros(side, dtype=torch.float64)
    for span in windows:
        assert span.stop - span.start == len(span.weights) == min(window, side)
        total[span.start : span.stop] += span.weights
    assert windows[0].start == 0
    assert windows[-1].stop == side
    assert torch.allclose(total, torch.ones_like(total), atol=1e-6)


def test_spans__weights_vanish_only_at_borders_inside_the_image():
    first, second, last = spans(80, 32, 0.25)
    assert (first.start, second.start, last.start) == (0, 24, 48)
    assert first.weights[0] == last.weights[-1] == 1
    for border in (first.weights[-1], second.weights[0], second.weights[-1], last.weights[0]):
        assert 0 < border < 1e-8


def test_spans__overlap_is_blended_by_a_squared_sine():
    first, second = spans(14, 8, 0.25)
    # two pixels of overlap: each window has one of them
    assert torch.allclose(first.weights, torch.tensor([1.0] * 7 + [0.0]), atol=1e-8)
    assert torch.allclose(second.weights, torch.tensor([0.0] + [1.0] * 7), atol=1e-8)
    first, second = spans(13, 8, 0.375)
    assert torch.allclose(first.weights[5:], torch.tensor([1.0, 0.5, 0.0]), atol=1e-7)


@pytest.mark.parametrize("overlap", [0, 0.25, 0.6])
@pytest.mark.parametrize("window", [16, 37, 50, 64])
def test_slide__equals_a_net_of_single_pixels(window, overlap):
    image = torch.rand(3, 50, 83) * 6
    assert (_assemble(_values, image, window, overlap) - _values(image[None])[0]).abs().max() < 1e-5


def _numbered_by_window():
    """Return a net whose value in the n-th window is 1000 n."""
    processed = []

    def net(windows):
        processed.extend(windows)
        return torch.full((1, 1, *windows.shape[2:]), 1000.0 * len(processed))

    return net


def _blended(width, overlap):
    blocks = slide(_numbered_by_window(), lambda a, b: torch.zeros(1, b - a, width), (64, width), 64, overlap)
    return torch.cat([block for _, _, block in blocks], dim=2)[0, 0]


def test_slide__has_no_step_where_windows_begin_or_end():
    steps = _blended(208, 0.25).diff().abs()
    for start in (48, 96, 144):
        assert steps[start - 1] < 1e-5 * 1000
        assert steps[start + 16 - 1] < 1e-5 * 1000
    # a squared sine over 16 pixels, between two windows
    assert steps.max() <= 1000 * torch.pi / 2 / 15


@pytest.mark.parametrize("width", [65, 80, 100, 160])
def test_slide__has_no_step_where_the_last_window_overlaps_more(width):
    assert _blended(width, 0.5).diff().abs().max() <= 2 * 1000 * torch.pi / 2 / 31


def test_slide__batches_equal_single_windows():
    image = torch.rand(3, 60, 100)
    for batch in (2, 3, 100):
        assert torch.allclose(_assemble(_values, image, 32, 0.25, batch), _assemble(_values, image, 32, 0.25, 1))


def test_slide__reads_one_row_of_windows_at_a_time():
    requests = []

    def read_rows(first, last):
        requests.append((first, last))
        return torch.zeros(1, last - first, 40)

    list(slide(lambda windows: windows, read_rows, (100, 40), 32, 0.25))
    assert requests == [(0, 32), (24, 56), (48, 80), (68, 100)]


def test_slide__reads_before_the_windows_of_an_absurd_size_are_laid_out():
    def read_rows(first, last):
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        next(slide(_values, read_rows, (2**31 - 1, 2**31 - 1), 512, 0.25))
