"""An installed pack is changed by one at a time, and nobody's change is lost."""

import threading
from dataclasses import replace

import pytest

from serfiq_core.errors import PackError
from serfiq_core.packs.amend import amend_manifest, amended
from serfiq_core.packs.manifest import write_manifest
from serfiq_core.packs.pack import read_pack
from tests.small_packs import write_small_pack


def with_limit(pack):
    return amend_manifest(pack, same_person_cosine=0.25)


def test_what_was_measured_for_long_does_not_undo_what_was_installed_meanwhile(tmp_path):
    pack = read_pack(write_small_pack(tmp_path))
    with amended(pack) as amendment:
        write_manifest(replace(amendment.manifest, licence="ours"), amendment.staging)
    later = with_limit(pack)
    assert (later.manifest.licence, later.manifest.same_person_cosine) == ("ours", 0.25)


def test_who_comes_second_waits_for_the_first(tmp_path):
    pack = read_pack(write_small_pack(tmp_path))
    second = threading.Thread(target=with_limit, args=(pack,))
    with amended(pack) as amendment:
        second.start()
        second.join(0.2)
        assert second.is_alive()
        write_manifest(replace(amendment.manifest, licence="ours"), amendment.staging)
    second.join()
    found = read_pack(pack.folder).manifest
    assert (found.licence, found.same_person_cosine) == ("ours", 0.25)


def test_what_was_measured_on_another_recogniser_is_refused(tmp_path):
    pack = read_pack(write_small_pack(tmp_path))
    changed = replace(pack.manifest.recogniser, dropout_rate=0.123)
    write_manifest(replace(pack.manifest, recogniser=changed), pack.folder)
    with pytest.raises(PackError, match="has become another one meanwhile"):
        with_limit(pack)
    assert read_pack(pack.folder).manifest.same_person_cosine is None


def test_when_the_block_fails_nothing_changes(tmp_path):
    pack = read_pack(write_small_pack(tmp_path))
    before = sorted(tmp_path.rglob("*"))

    def fail_halfway() -> None:
        with amended(pack) as amendment:
            write_manifest(replace(amendment.manifest, licence="ours"), amendment.staging)
            (amendment.staging / "other.toml").write_text("")
            raise RuntimeError("halfway")

    with pytest.raises(RuntimeError, match="halfway"):
        fail_halfway()
    assert read_pack(pack.folder) == pack
    assert sorted(tmp_path.rglob("*")) == before


def test_a_pack_that_is_gone_is_said_to_be(tmp_path):
    pack = read_pack(write_small_pack(tmp_path))
    pack.folder.rename(tmp_path / "elsewhere")
    with pytest.raises(PackError, match="cannot be written to"):
        with_limit(pack)
