"""Which photograph shows whom, and every way of saying it wrongly."""

import codecs
import errno
import os
from pathlib import Path

import pytest

from serfiq_core.errors import EvaluationError
from serfiq_core.evaluation.subjects import (
    Photograph,
    passed_over,
    photographs_below,
    read_photographs,
    subject_labels,
)


def write(path, content=b"photograph"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.fixture
def folder(tmp_path):
    for name in ("Zoë/1.jpg", "Zoë/2.PNG", "李 小龙/a b.jpeg", "Zoë/notes.txt", "read me.jpg"):
        write(tmp_path / "photographs" / name)
    return tmp_path / "photographs"


def manifest(folder, text, encoding="utf-8"):
    return write(folder / "manifest.csv", text.encode(encoding))


def test_a_folder_per_subject(folder):
    photographs = read_photographs(folder)
    assert [(each.name, each.subject) for each in photographs] == [
        ("Zoë/1.jpg", "Zoë"),
        ("Zoë/2.PNG", "Zoë"),
        ("李 小龙/a b.jpeg", "李 小龙"),
    ]
    assert all(each.path.is_file() for each in photographs)
    assert subject_labels(photographs).tolist() == [0, 0, 1]


def told(folder):
    files = passed_over(folder, read_photographs(folder))
    return [path.relative_to(folder).as_posix() for path in files]


def test_what_is_passed_over_in_a_folder_is_told(folder):
    for name in ("Zoë/3.JFIF", "Zoë/4.jpe", "Zoë/session 1/1.jpg", "Zoë/5.tif", "Zoë/.hidden"):
        write(folder / name)
    assert [each.name for each in read_photographs(folder)][:4] == [
        "Zoë/1.jpg",
        "Zoë/2.PNG",
        "Zoë/3.JFIF",
        "Zoë/4.jpe",
    ]
    assert told(folder) == [
        "Zoë/5.tif",
        "Zoë/notes.txt",
        "Zoë/session 1/1.jpg",
        "read me.jpg",
    ]


def test_nothing_hidden_is_taken_or_told(folder):
    before, all_below = read_photographs(folder), photographs_below(folder)
    for name in (".git/HEAD", ".previews/1.jpg", "Zoë/.previews/sizes/1.jpg", "Zoë/._1.jpg"):
        write(folder / name)
    assert read_photographs(folder) == before
    assert photographs_below(folder) == all_below
    assert told(folder) == ["Zoë/notes.txt", "read me.jpg"]


def test_what_is_passed_over_is_told_of_a_subject_who_is_a_link_too(folder, tmp_path):
    for name in ("1.jpg", "1.tif", "session/1.jpg"):
        write(tmp_path / "elsewhere" / name)
    (folder / "b").symlink_to(tmp_path / "elsewhere")
    assert "b/1.jpg" in [each.name for each in read_photographs(folder)]
    assert told(folder) == ["Zoë/notes.txt", "b/1.tif", "b/session/1.jpg", "read me.jpg"]


def test_files_that_may_not_be_looked_at_are_not_told(folder, monkeypatch):
    """Those of a folder with mode 0744, which can be listed and not searched."""
    write(folder / "Zoë/session/1.jpg")
    is_file = Path.is_file

    def is_file_if_allowed(path):
        if path.parent.name == "session":
            raise PermissionError(errno.EACCES, "Permission denied")
        return is_file(path)

    monkeypatch.setattr(Path, "is_file", is_file_if_allowed)
    assert told(folder) == ["Zoë/notes.txt", "read me.jpg"]


@pytest.mark.parametrize("mark", ["", codecs.BOM_UTF8.decode("utf-8")], ids=["plain", "bom"])
def test_a_manifest_with_paths_relative_to_itself(folder, mark):
    path = manifest(
        folder,
        mark + "camera,path,subject,cohort\r\n"
        'x,Zoë/1.jpg,Zoë,"north, old"\r\nx,Zoë/2.PNG,Zoë,\r\n,李 小龙/a b.jpeg,李 小龙,south\r\n',
    )
    assert read_photographs(path) == (
        Photograph(folder / "Zoë/1.jpg", "Zoë/1.jpg", "Zoë", "north, old"),
        Photograph(folder / "Zoë/2.PNG", "Zoë/2.PNG", "Zoë", None),
        Photograph(folder / "李 小龙/a b.jpeg", "李 小龙/a b.jpeg", "李 小龙", "south"),
    )


def test_a_manifest_with_a_root_of_its_own(folder, tmp_path):
    path = manifest(tmp_path, "path,subject\n1.jpg,a\n2.PNG,a\n../李 小龙/a b.jpeg,b\n")
    assert len(read_photographs(path, root=folder / "Zoë")) == 3


ONE_OF_EACH = "Zoë/1.jpg,a\n李 小龙/a b.jpeg,b\n"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("path,subject\nZoë/1.jpg,a\nZoë/3.jpg,a\n", r"line 3: there is no file .*Zoë/3\.jpg"),
        ("path,subject\nZoë/1.jpg,a\nZoë/1.jpg,a\n", r"line 3: Zoë/1\.jpg is in line 2 already"),
        ("path,subject\nZoë/1.jpg,a\n李 小龙/../Zoë/1.jpg,b\n", r"line 3: .* is in line 2 already"),
        ("path,subject\nZoë/1.jpg,a\nZoë/2.PNG,a\n", "one subject only"),
        ("path,subject\n" + ONE_OF_EACH, "no mated pair"),
        ("path,subject\n", "names no photograph"),
        ("", "no column path"),
        ("path,who\n" + ONE_OF_EACH, "no column subject; line 1"),
        ("path,subject,Cohort\nZoë/1.jpg,a,x\n", "column Cohort must be written cohort"),
        ("PATH,subject\n" + ONE_OF_EACH, "column PATH must be written path"),
        ("Subject,path,SUBJECT\n", "column Subject must be written subject"),
        ("path;subject\na.jpg;a\n", "with commas between, must name it, and has .path;subject"),
        ("path,subject\nZoë/1.jpg, \n", "line 2: subject is empty"),
        ("path,subject\nZoë/1.jpg\n", "line 2: subject is empty"),
        ("path,subject\nZoë/1.jpg,a,b\n", "line 2: more fields"),
        ('path,subject\n"Zoë/1.jpg,a\n', "not CSV in UTF-8"),
    ],
)
def test_a_manifest_that_is_wrong_says_where(folder, text, complaint):
    with pytest.raises(EvaluationError, match=complaint):
        read_photographs(manifest(folder, text))


def test_a_manifest_in_another_encoding_or_that_is_not_there(folder):
    path = manifest(folder, "path,subject\nZoë/1.jpg,a\n", "latin-1")
    with pytest.raises(EvaluationError, match="not CSV in UTF-8"):
        read_photographs(path)
    with pytest.raises(EvaluationError, match=r"absent\.csv cannot be read: No such file"):
        read_photographs(folder / "absent.csv")


def test_spaces_around_a_subject_do_not_make_another(folder):
    rows = "Zoë/1.jpg,a\nZoë/2.PNG, a \n李 小龙/a b.jpeg,b\n"
    photographs = read_photographs(manifest(folder, "path,subject\n" + rows))
    assert [each.subject for each in photographs] == ["a", "a", "b"]


def test_spaces_around_a_column_do_not_make_another(folder):
    rows = "Zoë/1.jpg,a,old\nZoë/2.PNG,a,new\n李 小龙/a b.jpeg,b,new\n"
    photographs = read_photographs(manifest(folder, "path, subject, cohort \n" + rows))
    assert [each.cohort for each in photographs] == ["old", "new", "new"]


def test_a_column_in_capitals_may_stand_beside_the_one_that_counts(folder):
    rows = "Zoë/1.jpg,a,Zoë\nZoë/2.PNG,a,Zoë\n李 小龙/a b.jpeg,b,小龙\n"
    photographs = read_photographs(manifest(folder, "path,subject,Subject\n" + rows))
    assert [each.subject for each in photographs] == ["a", "a", "b"]


def test_a_path_that_no_file_can_have_says_where(folder):
    with pytest.raises(EvaluationError, match="line 2: there is no file"):
        read_photographs(manifest(folder, f"path,subject\n{'x' * 300}.jpg,a\n"))


def test_a_folder_that_has_a_photograph_twice_is_refused(folder):
    (folder / "李 小龙" / "again.jpg").symlink_to(folder / "Zoë" / "1.jpg")
    with pytest.raises(EvaluationError, match=r"again\.jpg is the same file as Zoë/1\.jpg"):
        read_photographs(folder)


def test_a_name_that_is_not_utf_8_is_refused_in_words_that_can_be_printed(folder):
    write(folder / "Zoë" / os.fsdecode(b"\xff.jpg"))
    with pytest.raises(EvaluationError, match="is not named in UTF-8") as refusal:
        read_photographs(folder)
    assert str(refusal.value).encode()


def test_an_empty_folder_names_no_photograph(tmp_path):
    with pytest.raises(EvaluationError, match="names no photograph"):
        read_photographs(tmp_path)
