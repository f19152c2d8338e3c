"""Masks, hashes and names of the samples of annotated images."""

SPLITS = ("train", "val", "test")


def targets(module):
    """Mask of each image, by the name of its file."""
    result = {}
    for split in SPLITS:
        part = module.dataset(split)
        result |= {part.name(index).rpartition("/")[2]: part[index][1] for index in range(len(part))}
    return result


def label_hashes(module):
    """Hash of the labels of each image, which the fingerprint of the data holds."""
    result = {}
    for split in SPLITS:
        part = module.dataset(split)
        hashes = part.label_table(module.num_classes)[:, -1].tolist()
        result |= {part.name(index).rpartition("/")[2]: value for index, value in enumerate(hashes)}
    return result


def names(module, split):
    """Names of the samples of a split."""
    part = module.dataset(split)
    return [part.name(index) for index in range(len(part))]
