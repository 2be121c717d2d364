"""Moving a file to a name that nobody has yet."""

from __future__ import annotations

from pathlib import Path

from postvirt.system.rename_noreplace import rename_to_new_name


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def test_the_file_has_its_new_name(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"content")
    assert rename_to_new_name(bytes(tmp_path / "old"), bytes(tmp_path / "new"))
    assert names(tmp_path) == {"new"}
    assert (tmp_path / "new").read_bytes() == b"content"


def test_nobodys_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"mine")
    (tmp_path / "new").write_bytes(b"theirs")
    assert not rename_to_new_name(bytes(tmp_path / "old"), bytes(tmp_path / "new"))
    assert (tmp_path / "old").read_bytes() == b"mine"
    assert (tmp_path / "new").read_bytes() == b"theirs"


def test_what_cannot_be_renamed_stays(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"content")
    missing = bytes(tmp_path / "none" / "new")
    assert not rename_to_new_name(bytes(tmp_path / "old"), missing)
    assert names(tmp_path) == {"old"}
