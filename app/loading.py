"""From settings to what they name: a pack, its pipeline, the workers that prepare captures for it.

The service and the commands that assess photographs load here, so that in one environment they give
the same scores. This file knows no HTTP. What takes long to import is imported where it is needed:
`--help` answers at once, and the probes while torch is on its way.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING

from serfiq_core.types import NO_CALIBRATION, FaceChoice

if TYPE_CHECKING:
    from app.settings import Settings
    from serfiq_core.packs.pack import Pack
    from serfiq_core.pipeline import Pipeline
    from serfiq_core.preparation.workers import PreparationWorkers
    from serfiq_core.types import PipelineInfo, Preparer

logger = logging.getLogger(__name__)


def load_in_process(settings: Settings) -> Pipeline:
    """The pipeline of the pack that the settings name; captures are prepared in this process.

    The log says what there is to doubt in the pack.

    Raises:
        PackError, ConfigurationError: as for `pack_of` and `pipeline_of`.
    """
    pipeline = pipeline_of(settings, pack_of(settings))
    _warn_of_doubts(pipeline.info)
    return pipeline


def load_with_workers(settings: Settings, ended_by: ExitStack) -> Pipeline:
    """As `load_in_process`; captures are prepared in processes of their own.

    Args:
        settings: all there is to set.
        ended_by: ends those processes when it is closed.

    Raises:
        PreparationFailedError: those processes do not start.
        PackError, ConfigurationError: as for `load_in_process`.
    """
    pack = pack_of(settings)
    workers = ended_by.enter_context(workers_of(settings, pack))
    pipeline = pipeline_of(settings, pack, workers.start)
    _warn_of_doubts(pipeline.info)
    workers.wait_until_ready()
    # What is there now stays. Left to the garbage collector, torch's quarter of a million objects
    # are gone through again every few seconds, and everybody waits (docs/benchmarks.md).
    gc.collect()
    gc.freeze()
    return pipeline


def pack_of(settings: Settings) -> Pack:
    """The pack that the settings name.

    Raises:
        PackNotFoundError: there is none of that name.
        PackError: its manifest cannot be read.
    """
    from serfiq_core.packs.registry import default_packs_dir, find_pack

    return find_pack(settings.pack, settings.packs_dir or default_packs_dir())


def pipeline_of(
    settings: Settings, pack: Pack, preparation: Callable[[], Preparer] | None = None
) -> Pipeline:
    """The pipeline of a pack, with all that the settings say of it.

    Args:
        settings: of the device, the arithmetic, the score and the profiles.
        pack: from `pack_of`.
        preparation: makes what prepares captures; when None, they are prepared in this process.

    Raises:
        PackError, ConfigurationError: what `serfiq_core.loading.load_pipeline` raises.
    """
    from serfiq_core.loading import load_pipeline

    return load_pipeline(
        pack,
        device=settings.device,
        precision=settings.precision,
        estimator=settings.estimator,
        convention=settings.convention,
        passes=settings.passes,
        seed=settings.seed,
        profiles_path=settings.profiles_path,
        shadow_profile=settings.shadow_profile,
        preparation=preparation,
        allow_unsuitable=settings.allow_unsuitable,
    )


def workers_of(
    settings: Settings, pack: Pack, choice: FaceChoice = "largest"
) -> PreparationWorkers:
    """The processes that prepare captures; not started yet.

    Args:
        settings: of their number, their time and the profiles.
        pack: whose detector finds the faces; verified before they are started.
        choice: which of several faces is the capture's.

    Raises:
        ConfigurationError: the profiles are wrong.
    """
    from serfiq_core.preparation.worker import command
    from serfiq_core.preparation.workers import PreparationWorkers

    detector, shadow = pack.detector_file, settings.shadow_profile
    start = command(detector, settings.profiles_path, shadow, choice)
    return PreparationWorkers(start, settings.prepare_workers, settings.patience_seconds)


def _warn_of_doubts(info: PipelineInfo) -> None:
    if info.calibration == NO_CALIBRATION:
        logger.warning(
            "%s has no calibration, and every decision will be a rejection as not_assessed: "
            "run `serfiq calibrate PHOTOGRAPHS --pack %s`",
            info.pack,
            info.pack,
        )
    check = f"`serfiq packs check {info.pack} --faces PHOTOGRAPHS`"
    if info.verdict is None:
        logger.warning(
            "the recogniser of %s, as it is, was never checked for suitability: run %s",
            info.pack,
            check,
        )
    elif info.verdict.verdict == "unsuitable":
        logger.warning(
            "%s failed the suitability check and is used all the same: %s",
            info.pack,
            "; ".join(info.verdict.reasons),
        )
