"""What commands that take minutes tell of them."""

import os
from pathlib import Path

import pytest

from app.commands.progress import say_passed_over, say_skipped


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("李 小龙/Zoë.jpg", "李 小龙/Zoë.jpg"),
        ("a\nskipped b.jpg", r"a\nskipped b.jpg"),
        ("a\x1b[31m.jpg", r"a\x1b[31m.jpg"),
        (os.fsdecode(b"a\xff.jpg"), r"a\udcff.jpg"),
    ],
)
def test_a_skipped_photograph_is_one_line_whatever_its_name(
    capsys: pytest.CaptureFixture[str], name: str, told: str
) -> None:
    say_skipped(name, "no face was found")
    assert capsys.readouterr().err == f"skipped {told}: no face was found\n"


def test_files_that_were_passed_over_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    say_passed_over(Path("all"), [])
    assert capsys.readouterr().err == ""
    say_passed_over(Path("all"), [Path("all/a/1\n.tif"), Path("all/b.jpg")])
    assert capsys.readouterr().err == (
        "files passed over in all: 2 (first: a/1\\n.tif); only photographs in the folder of a "
        "subject are taken\n"
    )
