"""What the process that serves and the processes that prepare captures say to each other.

A message is two lengths, a header in JSON and a payload of raw bytes: an encoded image one way, an
aligned face the other. Nothing is pickled. This file starts no process.
"""

import json
import socket
import struct
from dataclasses import astuple
from time import monotonic
from typing import Any

import numpy as np

from serfiq_core.errors import CaptureError
from serfiq_core.types import ALIGNED_SIDE_PX, Component, Face, PreparedCapture

LENGTHS = struct.Struct("!IQ")
"""Bytes of the header and of the payload."""

Header = dict[str, Any]

READY: Header = {"ready": True}
"""A worker's first message: its detector is loaded."""


def not_ready_message(why: str) -> Header:
    """A worker's first message when it has none to prepare captures by."""
    return {"not_ready": why}


class Channel:
    """One end of a connection, for one thread at a time."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def send(self, header: Header, payload: bytes = b"", deadline: float | None = None) -> None:
        """Send one message.

        Args:
            header: what JSON can say.
            payload: taken as it is.
            deadline: monotonic seconds; None waits for ever.

        Raises:
            TimeoutError: the deadline passed.
            OSError: the other end is closed.
        """
        head = json.dumps(header).encode()
        for part in (LENGTHS.pack(len(head), len(payload)) + head, payload):
            self._connection.settimeout(_seconds_until(deadline))
            self._connection.sendall(part)

    def receive(self, deadline: float | None = None) -> tuple[Header, bytes]:
        """The next message: its header and its payload.

        Raises:
            TimeoutError: the deadline passed.
            EOFError, OSError: the other end is closed.
        """
        lengths = self._read(LENGTHS.size, deadline)
        header_bytes, payload_bytes = LENGTHS.unpack(lengths)
        header: Header = json.loads(self._read(header_bytes, deadline))
        return header, self._read(payload_bytes, deadline)

    def close(self) -> None:
        """Close this end, whoever is waiting on it."""
        self._connection.close()

    def _read(self, count: int, deadline: float | None) -> bytes:
        read = bytearray(count)
        rest = memoryview(read)
        while rest:
            self._connection.settimeout(_seconds_until(deadline))
            got = self._connection.recv_into(rest)
            if not got:
                raise EOFError("the other end of the channel is closed")
            rest = rest[got:]
        return bytes(read)


def prepared_message(prepared: PreparedCapture) -> tuple[Header, bytes]:
    """The answer that says what was found; its payload is the aligned face, if there is one."""
    face = prepared.face
    header: Header = {
        "faces_found": prepared.faces_found,
        "face": face
        and {
            "box_px": face.box_px,
            "detection_score": face.detection_score,
            "landmarks_px": face.landmarks_px.tolist(),
        },
        "seconds": dict(prepared.seconds),
        "components": [astuple(component) for component in prepared.components],
    }
    return header, b"" if prepared.aligned is None else prepared.aligned.tobytes()


def refusal_message(error: CaptureError) -> Header:
    """The answer that says why the capture cannot be used."""
    return {"refusal": type(error).__name__, "message": str(error)}


def failure_message(traceback: str) -> Header:
    """The answer that says that something else went wrong."""
    return {"traceback": traceback}


def read_prepared(header: Header, payload: bytes) -> PreparedCapture:
    """What a worker found; floats and pixels are, to the bit, those it computed.

    Raises:
        CaptureError: what its preparation raised, of the same class.
        KeyError, TypeError, ValueError: this is no such answer.
    """
    if "refusal" in header:
        raise CAPTURE_ERRORS[header["refusal"]](header["message"])
    face = header["face"]
    shape = (ALIGNED_SIDE_PX, ALIGNED_SIDE_PX, 3)
    return PreparedCapture(
        faces_found=header["faces_found"],
        face=face
        and Face(
            box_px=tuple(face["box_px"]),
            detection_score=face["detection_score"],
            landmarks_px=np.array(face["landmarks_px"], np.float32),
        ),
        aligned=np.frombuffer(payload, np.uint8).reshape(shape) if payload else None,
        seconds=header["seconds"],
        components=tuple(Component(*fields) for fields in header["components"]),
    )


def _and_descendants(cls: type[CaptureError]) -> dict[str, type[CaptureError]]:
    found = {cls.__name__: cls}
    for child in cls.__subclasses__():
        found |= _and_descendants(child)
    return found


CAPTURE_ERRORS = _and_descendants(CaptureError)
"""Name → class: that branch of the tree, and nothing else that a worker could name."""


def _seconds_until(deadline: float | None) -> float | None:
    if deadline is None:
        return None
    left = deadline - monotonic()
    if left <= 0:
        raise TimeoutError("the deadline has passed")
    return left
