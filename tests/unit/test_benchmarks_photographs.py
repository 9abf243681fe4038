"""Photographs for the loads: from a folder, or made where there are none."""

import io

import pytest
from PIL import Image

from benchmarks import photographs
from benchmarks.photographs import COUNT, make_photographs, photograph_folder, read_photographs
from serfiq_core.decode import decode
from serfiq_core.detection.mtcnn import MtcnnDetector


def test_made_photographs_show_one_face_each_in_different_ways():
    made = make_photographs(4)
    detector = MtcnnDetector()
    assert {Image.open(io.BytesIO(photograph)).size for photograph in made} == {(250, 250)}
    assert [len(detector.detect(decode(photograph))) for photograph in made] == [1, 1, 1, 1]
    assert len(set(made)) == 4


def test_made_photographs_are_the_same_for_everyone():
    assert make_photographs(2) == make_photographs(2)


def test_a_chosen_folder_is_taken(tmp_path):
    with photograph_folder(tmp_path) as folder:
        assert folder == tmp_path


def test_without_lfw_photographs_are_made_and_removed_again(tmp_path, monkeypatch):
    monkeypatch.setattr(photographs, "LFW", tmp_path / "nothing")
    with photograph_folder(None) as folder:
        assert read_photographs(folder) == make_photographs(COUNT)
    assert not folder.exists()


def test_a_large_folder_is_sampled_evenly(tmp_path):
    for index in range(3 * COUNT):
        (tmp_path / f"{index:04}.jpg").write_bytes(str(index).encode())
    taken = read_photographs(tmp_path)
    assert taken == [str(3 * index).encode() for index in range(COUNT)]


def test_an_empty_folder_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no"):
        read_photographs(tmp_path)


def test_photographs_of_lfw(shared_data):
    with photograph_folder(None) as folder:
        taken = read_photographs(folder)
    assert len(taken) == COUNT
    assert Image.open(io.BytesIO(taken[0])).size == (250, 250)
