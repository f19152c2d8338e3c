import shutil

import pytest

from lightseg.data import MaskFolder
from lightseg.data.io.error_collector import LayoutError, collect_errors
from lightseg.data.splits import LeakError
from lightseg.diagnosis.files import layout_findings
from lightseg.errors import DataError
from tests.data.fabricate import folder


def test_collecting__goes_on_with_what_pairs_up(tmp_path):
    root = folder(tmp_path, 12)
    (root / "masks/3.png").unlink()
    (root / "images/4.png").unlink()
    with collect_errors() as problems:
        data = MaskFolder(["a", "b"], root=str(root))
        names = {
            data.dataset(split).name(i) for split in ("train", "val", "test") for i in range(len(data.dataset(split)))
        }
    assert [(problem.kind, problem.files) for problem in problems] == [
        ("image without mask", ["images/3.png"]),
        ("mask without image", ["masks/4.png"]),
    ]
    assert names == {f"images/{number}.png" for number in range(12) if number not in (3, 4)}


def test_layout_findings__of_each_kind_of_unpaired_files(tmp_path):
    root = folder(tmp_path, 6)
    (root / "masks/3.png").unlink()
    shutil.copy(root / "images/4.png", root / "images/4.bmp")
    with collect_errors() as problems:
        MaskFolder(["a", "b"], root=str(root)).dataset("train")
    ambiguous, lonely = layout_findings(problems)
    assert (ambiguous.check, ambiguous.mend) == ("ambiguous name", "rename or remove one of them")
    assert (lonely.check, list(lonely.files)) == ("image without mask", ["images/3.png"])


def test_collecting__ends_with_its_block(tmp_path):
    root = folder(tmp_path, 6)
    (root / "masks/3.png").unlink()
    with collect_errors():
        pass
    with pytest.raises(LayoutError, match="no mask for this image"):
        MaskFolder(["a", "b"], root=str(root)).dataset("train")


def test_layout_findings__of_lists_that_name_what_is_not_there_and_share_an_image(tmp_path):
    root = folder(tmp_path, 6)
    (root / "train.txt").write_text("0\n1\n2\nnowhere\n")
    (root / "val.txt").write_text("2\n3\nnor_here\n")
    with collect_errors() as problems:
        data = MaskFolder(["a", "b"], root=str(root), splits={"train": "train.txt", "val": "val.txt"})
        sizes = [len(data.dataset(split)) for split in ("train", "val")]
    assert sizes == [3, 2]
    assert [type(problem) for problem in problems] == [DataError, DataError, LeakError]
    layout, leak = layout_findings([*problems, *problems])
    assert "'nowhere' is not an image here (and 1 more like it)" in layout.what
    assert leak.files == ["images/2.png"]
    assert leak.check == "leak"


def test_layout_findings__what_folders_lack_is_counted_once(tmp_path):
    for split in ("train", "val", "test"):
        root = folder(tmp_path / split, 6)
        (root / "masks/3.png").unlink()
        (root / "masks/4.png").unlink()
    with collect_errors() as problems:
        MaskFolder(["a", "b"], root=str(tmp_path)).dataset("train")
    (finding,) = layout_findings(problems)
    assert "nor for 1 more (and the same in 2 more folders)" in finding.what
    assert len(finding.files) == 6


def collect(root):
    with collect_errors() as problems:
        MaskFolder(["a", "b"], root=str(root)).dataset("train")
    return layout_findings(problems)


def test_layout_findings__one_misnamed_mask_is_one_finding_with_its_new_name(tmp_path):
    root = folder(tmp_path, 6)
    (root / "masks/3.png").rename(root / "masks/3_mask.png")
    (finding,) = collect(root)
    assert (finding.check, finding.mend) == ("misnamed file", "rename masks/3_mask.png to masks/3.png")
    assert list(finding.files) == ["images/3.png", "masks/3_mask.png"]


def test_layout_findings__a_suffix_of_most_masks_is_one_finding(tmp_path):
    root = folder(tmp_path, 12)
    for number in range(5, 12):
        (root / f"masks/{number}.png").rename(root / f"masks/{number}_mask.png")
    (finding,) = collect(root)
    assert finding.check == "image without mask"
    assert 'set mask_suffix: "_mask"' in finding.mend
