"""Files beside the images of a data set."""

from lightseg.data import MaskFolder
from lightseg.data.datasets.unread_files import describe_unread, unread_files, unused_images
from tests.data.fabricate import folder


def test_files__that_are_not_read_or_not_used(tmp_path):
    root = folder(tmp_path, 6)
    for name in ("a.heic", "b.HEIC", "c.dng", ".hidden.png", "notes.txt"):
        (root / "images" / name).touch()
    for split, names in {"train": "0\n1\n", "val": "3\n"}.items():
        (root / f"{split}.txt").write_text(names)
    # another name of an image that is used
    (root / "images/link.png").symlink_to("0.png")
    data = MaskFolder(["a", "b"], root=str(root), splits={"train": "train.txt", "val": "val.txt"})
    parts = [data.make_dataset(split) for split in ("train", "val", "test")]
    assert unused_images(parts) == [f"images/{number}.png" for number in (2, 4, 5)]
    unread = unread_files(parts)
    assert unread == [str(root / "images" / name) for name in ("a.heic", "b.HEIC", "c.dng")]
    assert describe_unread(unread) == "'.heic' (2), '.dng' (1)"
