"""The scripts behind the pages' figures can be imported, and find each other."""

import importlib
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


def test_a_row_of_the_tables_takes_what_is_named_and_shows_what_is_not_defined():
    tables = importlib.import_module("evaluation_tables")
    none = {"value": None, "low": None, "high": None}
    rates = [
        {"discard": discard, "value": discard / 10, "low": 0.001, "high": 0.5}
        for discard in (0.05, 0.1, 0.2, 0.3, 0.5)
    ]
    areas = [
        {"relative": {"high": 0.9, "low": 0.3, "value": 0.5}, "difference": none},
        {"relative": {"value": 0.25, "low": None, "high": None}, "difference": none},
    ]
    method = {"method": "ours", "fnmr_at_discard": rates, "partial_areas": areas}
    assert tables.row(method) == [
        *("ours", "0.0050", "0.0100", "0.0200 [0.0010, 0.5000]", "0.0300", "0.0500"),
        *("0.50 [0.30, 0.90]", "0.25", "–"),
    ]
