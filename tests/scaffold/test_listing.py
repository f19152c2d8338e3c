import pytest

from lightseg.errors import DataError
from lightseg.scaffold.listing import list_folder
from tests.data.fabricate import picture, save


def test_list_folder__by_kind_without_hidden_files(tmp_path):
    for name in ("a.png", "train/b/1.JPG.png", "test/b/2.png", ".cache/c.png", "__MACOSX/d.png"):
        save(tmp_path / name, picture())
    for name in ("x.csv", "y.txt", "z.md"):
        (tmp_path / name).write_text("")
    listing = list_folder(tmp_path)
    assert listing.images == {"": ["a.png"], "test/b": ["2.png"], "train/b": ["1.JPG.png"]}
    assert (listing.tables, listing.texts) == (["x.csv"], ["x.csv", "y.txt"])
    assert (listing.num_images, listing.splits) == (3, ["train", "test"])


@pytest.mark.parametrize(
    ("folder", "root"),
    [("data/set/cat", "data/set"), ("set/train/cat", "set"), ("train/cat", "."), ("cat", ".")],
)
def test_descend__to_the_folder_that_holds_all(tmp_path, folder, root):
    for number, name in enumerate((folder, folder.replace("cat", "dog"))):
        save(tmp_path / name / f"{number}.png", picture())
    assert list_folder(tmp_path).descend().root == (tmp_path / root)


def test_list_folder__no_folder(tmp_path):
    with pytest.raises(DataError, match="the folder does not exist"):
        list_folder(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="is a file; give a folder"):
        list_folder(tmp_path / "file")
