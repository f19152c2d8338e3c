"""Tiny random versions of the families of encoders, as recipes can name them."""

_VIT = {"embed_dim": 24, "depth": 4, "num_heads": 2}

ENCODERS = {
    "resnet": ("test_resnet", {}),
    "efficientnet": ("test_efficientnet", {}),
    "convnextv2": ("convnextv2_atto", {"depths": [1, 1, 1, 1], "dims": [8, 16, 24, 32]}),
    "efficientvit": (
        "efficientvit_b0",
        {"widths": [4, 8, 8, 16, 16], "depths": [1, 1, 1, 1, 1], "head_dim": 4, "head_widths": [8, 8]},
    ),
    "mambaout": ("mambaout_femto", {"depths": [1, 1, 1, 1], "dims": [8, 16, 16, 24]}),
    "mobilenetv5": ("mobilenetv5_base", {"channel_multiplier": 0.1}),
    "swinv2": (
        "swinv2_tiny_window8_256",
        {"embed_dim": 8, "depths": [1, 1, 1, 1], "num_heads": [1, 1, 2, 2], "window_size": 4},
    ),
    # windows are 1/32 of the image size, and the sides must be multiples of that
    "maxvit": ("test_maxvit", {"img_size": 64}),
    # of one size alone
    "hiera": ("hiera_tiny_224", {"embed_dim": 8, "stages": [1, 1, 1, 1], "img_size": [64, 96]}),
    "sam2_hiera": (
        "sam2_hiera_tiny",
        {"embed_dim": 8, "stages": [1, 1, 2, 1], "global_att_blocks": [3]},
    ),
    "vit": ("vit_tiny_patch16_224", _VIT),
    "dinov2": ("vit_small_patch14_reg4_dinov2.lvd142m", _VIT),
    "dinov3": ("vit_small_patch16_dinov3.lvd1689m", _VIT),
    "siglip2": ("vit_base_patch16_siglip_224.v2_webli", _VIT),
    "eva02": ("eva02_tiny_patch14_224", _VIT),
}
"""Name of timm and arguments of `timm.create_model`, by family."""

STRIDES = dict.fromkeys(ENCODERS, 32) | {"maxvit": 64, "hiera": 1} | dict.fromkeys(("vit", "dinov3", "siglip2"), 16)
STRIDES |= dict.fromkeys(("dinov2", "eva02"), 14)
"""Divisor of the sides of an image, by family."""

ODD = (1, 3, 37, 61)
"""Shape of an image whose sides no family takes without padding."""


def image_shape(family: str, channels: int = 3, batch: int = 2) -> tuple[int, int, int, int]:
    """Return the shape of images that a family takes: of odd sides, if it takes any."""
    return (batch, channels, *((64, 96) if family == "hiera" else ODD[2:]))
