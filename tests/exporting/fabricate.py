"""Net and metadata of exports."""

from torch import nn

PLAIN = {"mean": [0.2, 0.3, 0.4], "std": [0.5, 0.25, 0.125]}
FACTS = {"lightseg": "0", "classes": ["a", "b", "c"]}


class Quarter(nn.Module):
    """Logits at half of the resolution, from sides that must be multiples of 4."""

    stride = 4

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x):
        return 9 * self.conv(nn.functional.max_pool2d(x, 2))
