"""What is no HTTP, and bodies in crumbs: before their answer, and after it."""

import asyncio

import h11
import pytest

from tests.unit.test_idle_connections import Caller

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(size: int) -> bytes:
    return b"%x\r\n%b\r\n" % (size, bytes(size))


def send(body: bytes, answered: bool) -> bool:
    """Whether the connection was ended for it."""

    async def call() -> bool:
        caller = Caller()
        caller.send(HEAD)
        if answered:
            await caller.answered()
        caller.send(body)
        await caller.answered()
        return caller.transport.close.called or caller.transport.abort.called

    return asyncio.run(call())


@pytest.mark.parametrize("answered", [False, True])
def test_a_body_that_comes_byte_by_byte_is_cut_off(answered, monkeypatch, caplog):
    parsed = []
    next_event = h11.Connection.next_event
    monkeypatch.setattr(
        h11.Connection, "next_event", lambda self: parsed.append(self) or next_event(self)
    )
    assert send(chunk(1) * 10_000, answered)
    assert len(parsed) < 200
    assert [record.levelname for record in caplog.records] == ["WARNING"]


@pytest.mark.parametrize("answered", [False, True])
@pytest.mark.parametrize(
    "body", [chunk(1) * 100, chunk(64) * 1_000, chunk(65536) * 10], ids=["few", "lines", "large"]
)
def test_other_bodies_are_read(body, answered):
    assert not send(body + b"0\r\n\r\n", answered)


@pytest.mark.parametrize("answered", [False, True])
def test_what_is_no_chunk_ends_the_connection_and_leaves_one_line_in_the_log(answered, caplog):
    assert send(b"zz\r\n", answered)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
