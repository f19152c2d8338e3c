"""Default colors of the classes in pictures."""

from lightseg.labels import Color


def default_palette(num_classes: int) -> list[Color]:
    """Return a distinct RGB color per class id: Pascal VOC's bit-interleaved palette.

    Source: Everingham et al. 2010, VOC development kit, `VOClabelcolormap`.
    """
    return [_voc_color(class_id) for class_id in range(num_classes)]


def _voc_color(class_id: int) -> Color:
    red = green = blue = 0
    for shift in range(7, -1, -1):
        red |= (class_id & 1) << shift
        green |= (class_id >> 1 & 1) << shift
        blue |= (class_id >> 2 & 1) << shift
        class_id >>= 3
    return red, green, blue
