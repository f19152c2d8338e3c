import pytest

from lightseg.config.compose import LIBRARY, chain, read, require_bounded
from lightseg.errors import ConfigError


def _write(folder, name, text):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_chain__bases_come_first_in_order(tmp_path):
    a, b = _write(tmp_path, "blocks/a.yaml", "name: a"), _write(tmp_path, "blocks/b.yaml", "base: a.yaml")
    top = _write(tmp_path, "top.yaml", "base: [blocks/b.yaml, blocks/a.yaml]")
    assert chain(top) == [a, b, a, top]


def test_chain__blocks_are_found_from_any_folder(tmp_path):
    top = _write(tmp_path, "deep/down/top.yaml", "base: [../../configs/net/unet.yaml, configs/data/shapes.yaml]")
    assert chain(top)[:2] == [LIBRARY / "configs/net/unet.yaml", LIBRARY / "configs/data/shapes.yaml"]


def test_chain__circle(tmp_path):
    _write(tmp_path, "a.yaml", "base: b.yaml")
    _write(tmp_path, "b.yaml", "base: a.yaml")
    with pytest.raises(ConfigError, match=r"b\.yaml: base: .*a\.yaml is already being applied"):
        chain(tmp_path / "a.yaml")


def test_chain__missing_recipe_lists_its_neighbours():
    with pytest.raises(
        ConfigError, match=r"no such file; did you mean unet\.yaml\?\navailable in .*: fcn, segmenter, simple_cnn"
    ):
        chain("configs/net/unett.yaml")


def test_chain__missing_base_names_the_file_that_asks(tmp_path):
    top = _write(tmp_path, "top.yaml", "base: [configs/net/nope.yaml]")
    with pytest.raises(ConfigError, match=r"top\.yaml: base: configs/net/nope\.yaml: no such file"):
        chain(top)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: a\nname: b", "the key 'name' is given twice"),
        ("- a\n- b", "a recipe is a mapping"),
        ("trainer: x.yaml\ntrainer.max_epochs: 7", r"write 'trainer\.max_epochs' nested: trainer: \{max_epochs: …\}"),
        ("model: {init_args: {net.width: 3}}", r"write 'net\.width' nested"),
        ("a: [1, 2", "line 1|line 2"),
        ("name: a\ndata: {root: !!bool abc}", "line 2: this is not a bool"),
        ("\ttabs: no", "line 1: a tab; YAML is indented by spaces"),
        ("a:\n  b: 1\n c: 2", "line 3: this line does not fit the indentation"),
    ],
)
def test_read__refuses_what_would_be_lost(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        read(_write(tmp_path, "bad.yaml", text))


def test_chain__base_must_be_files(tmp_path):
    with pytest.raises(ConfigError, match="base: give a list of files"):
        chain(_write(tmp_path, "top.yaml", "base: {net: unet}"))


def test_alias_bomb__is_counted_and_not_built():
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    with pytest.raises(ConfigError, match="bomb: aliases make it larger than 100000 values"):
        require_bounded("\n".join(levels), "bomb")
    require_bounded("\n".join(levels[:4]), "small")
