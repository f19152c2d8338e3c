"""Program that lists some kinds of things and prints which large libraries it has imported."""

CALL = """
import sys
from lightseg.list.__main__ import main

for kind in sys.argv[1:]:
    assert main([kind]) == 0
print(sorted({"torch", "timm", "lightning", "albumentations", "segmentation_models_pytorch"} & sys.modules.keys()))
"""
