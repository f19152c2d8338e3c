"""Names of the masks of classes."""

from lightseg.scaffold.class_mask_names import match_names

IMAGES = {f":{name}": f"images/{name}.png" for name in ("a_1", "a_2", "a_3")}


def stems(*names):
    return {f":{name}": f"masks/{name}.png" for name in names}


def test_match_names__the_longest_class_whose_image_exists():
    masks = stems(*(f"{name}_{label}" for name in ("a_1", "a_2", "a_3") for label in ("big_car", "road")))
    names = match_names(IMAGES, masks, is_one_folder=False)
    assert (names.mask_files, sorted(names.files), names.num_masks) == ("{name}_{class}", ["big_car", "road"], 6)
    assert names.images == IMAGES.keys()
    assert names.files["road"] == [f"masks/a_{index}_road.png" for index in "123"]


def test_match_names__most_masks_must_name_an_image():
    masks = stems(*(f"{label}/{name}" for name in ("a_1", "a_2", "a_3") for label in ("car", "road")))
    assert match_names(IMAGES, masks, is_one_folder=False).mask_files == "{class}/{name}"
    assert match_names(IMAGES, masks | stems("car/b_1"), is_one_folder=False) is None
