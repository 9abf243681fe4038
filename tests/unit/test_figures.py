"""The scripts behind the pages' figures can be imported, and find each other."""

import importlib.util
import re
import subprocess

import pytest

from tests.conftest import REPOSITORY

FOLDER = REPOSITORY / "docs" / "figures"


@pytest.fixture(autouse=True)
def beside_each_other(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_every_import_of_a_script_is_there(path):
    specification = importlib.util.spec_from_file_location(f"figures_{path.stem}", path)
    specification.loader.exec_module(importlib.util.module_from_spec(specification))


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.sh")), ids=lambda path: path.stem)
def test_shell_scripts_parse_and_call_scripts_that_are_there(path):
    subprocess.run(["sh", "-n", path], check=True)
    called = re.findall(r'"\$here/([\w.]+)"', path.read_text(encoding="utf-8"))
    assert called
    assert all((FOLDER / name).exists() for name in called)


def test_every_script_is_named_by_a_page_or_another_script():
    pages = [*REPOSITORY.glob("docs/*.md"), *FOLDER.glob("*.sh")]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    imported = {
        name
        for path in FOLDER.glob("*.py")
        for name in re.findall(r"^from (\w+) import", path.read_text(encoding="utf-8"), re.M)
    }
    unnamed = [
        path.name
        for path in FOLDER.glob("*.*")
        if path.name not in text and path.stem not in imported
    ]
    assert unnamed == []
