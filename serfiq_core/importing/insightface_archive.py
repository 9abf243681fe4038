"""From one of InsightFace's archives, fetched and verified, to a pack."""

from collections.abc import Mapping
from pathlib import Path

from serfiq_core.errors import LicenceError
from serfiq_core.importing.onnx_file import prove
from serfiq_core.packs.archive import extract
from serfiq_core.packs.download import download
from serfiq_core.packs.insightface_packs import (
    ARCFACE_PIXEL_RANGE,
    CATALOGUE,
    LICENCE,
    LICENCE_SOURCE,
    LICENCE_TEXT,
    MAX_ARCHIVE_BYTES,
    PublishedPack,
    archive_url,
    find_published,
)
from serfiq_core.packs.manifest import DetectorEntry, Manifest, write_manifest
from serfiq_core.packs.pack import Pack, read_pack, verify_file
from serfiq_core.packs.registry import staged_pack
from serfiq_core.recognition.recogniser import Preprocessing


def pull_pack(
    name: str,
    packs_dir: Path,
    *,
    accept_licence: bool,
    base_url: str | None = None,
    catalogue: Mapping[str, PublishedPack] = CATALOGUE,
) -> Pack:
    """Fetch one of InsightFace's archives and make a pack of it.

    Args:
        name: as published.
        packs_dir: where the pack goes.
        accept_licence: whether its licence is accepted; without, nothing is fetched.
        base_url: a mirror, which must hold the very same archives.
        catalogue: what is published.

    Raises:
        PackNotFoundError: nothing of this name is published.
        LicenceError: the licence was not accepted; carries its text.
        DownloadError, ChecksumError, ArchiveError: what came is not the archive that was published.
        OnnxImportError: its recogniser cannot be imported.
        PackError: the name is taken, or the pack cannot be written.
    """
    published = find_published(name, catalogue)
    if not accept_licence:
        raise LicenceError(f"{LICENCE_TEXT} To fetch {name}, accept this with --accept-licence.")
    with staged_pack(name, packs_dir) as folder:
        _fetch(published, archive_url(name, base_url), folder)
        recogniser = prove(
            (folder / published.recogniser_file).read_bytes(),
            published.recogniser_file,
            Preprocessing("rgb", (ARCFACE_PIXEL_RANGE,) * 3, (ARCFACE_PIXEL_RANGE,) * 3),
        )
        manifest = Manifest(
            name=name,
            version=published.version,
            licence=LICENCE,
            licence_source=LICENCE_SOURCE,
            files=published.files,
            recogniser=recogniser,
            detector=DetectorEntry("scrfd", published.detector_file),
        )
        write_manifest(manifest, folder)
    return read_pack(packs_dir / name)


def _fetch(published: PublishedPack, url: str, folder: Path) -> None:
    archive = folder.parent / "archive.zip"  # in the staging folder, and gone with it
    download(url, archive, sha256=published.archive_sha256, limit_bytes=MAX_ARCHIVE_BYTES)
    extract(archive, published.files, folder, limit_bytes=MAX_ARCHIVE_BYTES)
    for file, checksum in published.files.items():
        verify_file(folder / file, checksum)
