import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lightseg.data import ImageTable, MaskFolder
from lightseg.data.io.error_collector import LayoutError, collect_errors
from lightseg.data.splits import LeakError
from lightseg.diagnosis.files import alpha_findings, layout_findings, unlisted_findings
from lightseg.diagnosis.samples import survey
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


def add_alpha(file, alpha):
    with Image.open(file) as stored:
        image = stored.convert("RGB")
    image.putalpha(Image.fromarray(np.asarray(alpha, np.uint8)))
    image.save(file)


def test_alpha_findings__name_what_is_transparent(tmp_path):
    root = folder(tmp_path, 6)
    with Image.open(root / "images/0.png") as image:
        width, height = image.size
    opaque = np.full((height, width), 255)
    half = np.where(np.arange(width) < width // 2, 128, opaque)
    for number, alpha in enumerate((opaque, half, opaque)):
        add_alpha(root / f"images/{number}.png", alpha)

    def findings(**options):
        data = MaskFolder(["a", "b"], root=str(root), num_workers=0, **options)
        parts = {split: data.make_dataset(split) for split in ("train", "val", "test")}
        return alpha_findings(survey(data, parts))

    (finding,) = findings()
    assert finding.severity == "note"
    assert finding.what.startswith("the alpha channel of 3 images is dropped, and in 1 it is transparent in places")
    assert list(finding.files) == ["images/1.png"]
    # a selection of bands is no accident
    assert findings(bands=[1, 2, 3]) == []
    add_alpha(root / "images/1.png", opaque)
    (finding,) = findings()
    assert (finding.what, finding.mend) == (
        "the alpha channel of 3 images is dropped, which is opaque everywhere",
        "nothing is lost",
    )
    for number in range(3, 6):
        add_alpha(root / f"images/{number}.png", opaque)
    assert findings(channels=4) == []


@pytest.mark.parametrize("form", ["names", "pairs", "table"])
def test_unlisted_findings__images_that_no_list_names(tmp_path, form):
    root = folder(tmp_path, 6)
    (root / "images/.hidden.png").write_bytes(b"")
    splits = {"train": [0, 1], "val": [3]}
    if form == "table":
        rows = [f"images/{number}.png,{number % 2},{split}" for split in splits for number in splits[split]]
        (root / "table.csv").write_text("\n".join(["path,label,split", *rows]))
        data = ImageTable(str(root / "table.csv"))
    else:
        line = "{0}\n" if form == "names" else "images/{0}.png masks/{0}.png\n"
        for split, numbers in splits.items():
            (root / f"{split}.txt").write_text("".join(map(line.format, numbers)))
        data = MaskFolder(["a", "b"], root=str(root), splits={split: f"{split}.txt" for split in splits})
    data.make_dataset("train")
    (finding,) = unlisted_findings(data)
    assert (finding.severity, finding.what) == ("note", "3 images beside the others that no list and no table names")
    assert [Path(file).name for file in finding.files] == ["2.png", "4.png", "5.png"]
    assert unlisted_findings(MaskFolder(["a", "b"], root=str(root))) == []
