from lightseg.files import source_digest as module


def test_source_digest__changes_with_every_module_of_its_parts_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "files", lambda _package: tmp_path)
    for name in ("a/b/c.py", "a/d.py", "e.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")

    def digest():
        return module.source_digest.__wrapped__("a", "e.py")

    digests = [digest()]
    for name in ("a/b/c.py", "a/d.py", "e.py", "a/new.py"):
        (tmp_path / name).write_text("2")
        digests.append(digest())
    (tmp_path / "f.py").write_text("2")
    (tmp_path / "a/d.txt").write_text("2")
    assert digest() == digests[-1]
    assert len(set(digests)) == 5


def test_source_digest__is_of_this_package():
    digests = {module.source_digest(part) for part in ("data/io", "data/io/masks.py", "list/cost.py")}
    assert len(digests) == 3
