"""A file of profiles: the embedded ones, and one more that takes faces of any size."""

from pathlib import Path

from serfiq_core.decisions.profiles import EMBEDDED_PROFILES

LAX = """
[lax]
version = "1"
accept_at = 5
review_at = 5
multiple_faces = "accept"
"""


def with_a_lax_profile(folder: Path) -> Path:
    """Writes the file into `folder`, and says where it is."""
    path = folder / "profiles.toml"
    path.write_text(EMBEDDED_PROFILES.read_text(encoding="utf-8") + LAX, encoding="utf-8")
    return path
