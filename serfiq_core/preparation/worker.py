"""A process that prepares captures, for `serfiq_core.preparation.workers`.

It reads requests from the socket that is its standard input and answers there, until the other end
is closed. It loads a detector and no recogniser. Heavy imports wait until signals are ignored.
"""

import argparse
import os
import signal
import socket
import sys
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from serfiq_core.errors import CaptureError, SerfiqError
from serfiq_core.preparation.messages import (
    READY,
    Channel,
    Header,
    failure_message,
    not_ready_message,
    prepared_message,
    refusal_message,
)
from serfiq_core.types import FaceChoice, Preparer

if TYPE_CHECKING:
    from serfiq_core.packs.pack import DetectorFile

NICENESS = 5
"""More than the service's own. In a crowd more threads are busy than there are cores, and the event
loop must not wait for one: it refuses, and answers probes."""


def command(
    detector: "DetectorFile | None",
    profiles_path: Path | None,
    shadow_profile: str | None = None,
    choice: FaceChoice = "largest",
) -> list[str]:
    """What starts this process. One that takes another's place later finds the same faces, or does
    not start: no pack and no profiles are read again.

    Args:
        detector: as `Pack.detector_file` gives it.
        profiles_path: the operator's own profiles instead of the embedded ones.
        shadow_profile: the one of them that only counts; faces are not looked for on its behalf.
        choice: which of several faces is the capture's.

    Raises:
        ConfigurationError: the profiles are wrong.
    """
    from serfiq_core.decisions.profiles import wanted_inter_eye_distance_px

    wanted_px = str(wanted_inter_eye_distance_px(profiles_path, shadow_profile))
    started = [sys.executable, "-m", __name__]
    if detector is not None:
        started += ["--detector", str(detector.path), detector.checksum]
    return [*started, "--face", choice, "--inter-eye-distance", wanted_px]


def run(make_preparation: Callable[[], Preparer]) -> None:
    """Answer requests until the other end of standard input is closed.

    Args:
        make_preparation: called once, when signals are ignored already.
    """
    # Ctrl-C and orchestrators reach the whole group, but what was accepted is still to be answered.
    # The end of the channel is what ends this process, and that comes even when the parent is
    # killed.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    # Pillow's, of damaged metadata: thousands of lines for one file, past the log.
    warnings.simplefilter("ignore")
    os.nice(NICENESS)
    connection = socket.socket(fileno=os.dup(sys.stdin.fileno()))
    channel = Channel(connection)
    with suppress(EOFError, OSError):
        _answer_all(channel, _made_or_told(make_preparation, channel))


def _made_or_told(make_preparation: Callable[[], Preparer], channel: Channel) -> Preparer:
    """Not printed: the other end has a log, and its form."""
    try:
        return make_preparation()
    except Exception as error:
        why = str(error) if isinstance(error, SerfiqError) else traceback.format_exc()
        channel.send(not_ready_message(why))
        sys.exit(1)


def _answer_all(channel: Channel, preparation: Preparer) -> None:
    channel.send(READY)
    while True:
        request, data = channel.receive()
        channel.send(*_answer(preparation, data, aligned=request["aligned"]))


def _answer(preparation: Preparer, data: bytes, *, aligned: bool) -> tuple[Header, bytes]:
    try:
        return prepared_message(preparation.prepare(data, aligned=aligned))
    except CaptureError as error:
        return refusal_message(error), b""
    except Exception:
        return failure_message(traceback.format_exc()), b""


def _preparation(
    detector: tuple[str, str] | None, wanted_px: float, choice: FaceChoice
) -> Preparer:
    import cv2
    import torch

    from serfiq_core.loading import open_detector
    from serfiq_core.packs.pack import DetectorFile
    from serfiq_core.preparation.prepare import Preparation

    # Workers are as many as cores; with more threads each they would fight for them.
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    file = detector and DetectorFile(Path(detector[0]), detector[1])
    return Preparation(open_detector(file, wanted_px), choice)


def main() -> None:
    """The process, started with what `command` says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--detector", nargs=2, metavar=("FILE", "SHA256"))
    parser.add_argument("--inter-eye-distance", type=float, required=True)
    parser.add_argument("--face", choices=get_args(FaceChoice), required=True)
    options = parser.parse_args()
    run(lambda: _preparation(options.detector, options.inter_eye_distance, options.face))


if __name__ == "__main__":
    main()
