"""How `serfiq evaluate` measures photographs: by which pack, face and passes."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.commands.preparing import preparing
from app.commands.progress import progress
from serfiq_core.types import FaceChoice, Preparer

if TYPE_CHECKING:
    from app.settings import Settings
    from serfiq_core.evaluation.measurements import Measurement
    from serfiq_core.evaluation.subjects import Photograph
    from serfiq_core.packs.pack import Pack


@dataclass(frozen=True, slots=True)
class Measuring:
    """How photographs are measured, and by what: `choice` is which face of several."""

    settings: "Settings"
    pack: "Pack"
    passes: tuple[int, ...]
    choice: FaceChoice

    @property
    def further_methods(self) -> list[str]:
        """Names of the sampled scores after the first."""
        from serfiq_core.measuring import sampled_methods

        return sampled_methods(self.passes)[1:]

    def measure(
        self, photographs: "Sequence[Photograph]", cache_folder: Path | None
    ) -> "list[Measurement]":
        """Measure every photograph; with a folder, what was measured before is taken from there."""
        from serfiq_core.evaluation.measurements import Cache
        from serfiq_core.loading import (
            choose_device,
            describe_detector,
            libraries,
            load_for_inference,
        )
        from serfiq_core.measuring import Scorer, measure
        from serfiq_core.packs.pack import verify

        pack, settings = self.pack, self.settings
        verify(pack)
        device = choose_device(settings.device)
        recogniser, precision = load_for_inference(pack, device, settings.precision)
        cache = None
        if cache_folder is not None:
            scored = (self.passes, settings.convention, settings.seed, device.type, precision)
            identity = {
                "pack": pack.checksum,
                "by": scored,
                "detector": describe_detector(pack, self._wanted_px()),
                "face": self.choice,
                "software": {"serfiq": version("serfiq"), **libraries()},
            }
            cache = Cache(cache_folder, identity)
        scorer = Scorer(recogniser, self.passes, settings.convention, settings.seed)
        with (
            preparing(pack, settings, self.choice) as preparer,
            progress("measuring", len(photographs)) as advance,
        ):
            workers = settings.prepare_workers
            return measure(
                photographs, preparer, scorer, workers=workers, cache=cache, advance=advance
            )

    def preparation(self) -> Preparer:
        """Finds in this process the faces that were measured."""
        from serfiq_core.loading import load_preparation

        return load_preparation(self.pack, self._wanted_px(), self.choice)

    def about(self) -> dict[str, Any]:
        """What the figures depend on, besides photographs and pairs."""
        manifest = self.pack.manifest
        return {
            "pack": manifest.name,
            "pack_version": manifest.version,
            "pack_checksum": self.pack.checksum,
            "licence": manifest.licence,
            "passes": list(self.passes),
            "convention": self.settings.convention,
            "mask_seed": self.settings.seed,
            "face": self.choice,
        }

    def _wanted_px(self) -> float:
        """The least distance between the eyes that any profile in force takes."""
        from serfiq_core.decisions.profiles import wanted_inter_eye_distance_px

        settings = self.settings
        return wanted_inter_eye_distance_px(settings.profiles_path, settings.shadow_profile)
