from __future__ import annotations

import pytest

from postvirt.config.created_folders import created_folders, is_trash


@pytest.mark.parametrize(
    ("value", "name", "found"),
    [
        ("", "Work", ""),
        ("Work", "Work", "Work"),
        ("Spam, Work", "WORK", "Work"),
        ("Spam, Work", "Wor", ""),
        ("{Mailing Lists} Work", "mailing lists", "Mailing Lists"),
        ("Grüße", "GRÜSSE", "Grüße"),
        ("*", "work", "work"),
        ("* Work", "work", "Work"),
        ("Work *", "other", "other"),
    ],
)
def test_some_folders_may_be_created(value, name, found):
    assert created_folders(value).find(name) == found


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("a.b", '"a.b" names no folder: it contains .'),
        ("Work, ../x", '"../x" names no folder: it contains .'),
        ("*/", '"*/" names no folder: it contains *'),
        ("INBOX", '"INBOX" names no folder: it is the INBOX itself'),
        ("{}", '"" names no folder: it is empty'),
        ("\udcff", '"\udcff" names no folder: it is not UTF-8'),
    ],
)
def test_what_names_no_folder_is_refused(value, why):
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - that is all there is
        created_folders(value)
    assert str(refused.value) == why


@pytest.mark.parametrize(
    ("name", "trash", "expected"),
    [
        ("Trash", ".Trash", True),
        ("trash", ".Trash", True),
        ("Müll", ".M&APw-ll", True),
        ("Trash", ".Papierkorb", False),
        ("Trash", "Trash", False),
    ],
)
def test_the_trash_is_that_of_the_parameter(name, trash, expected):
    assert is_trash(name, trash) == expected
