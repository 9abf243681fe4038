"""Which connections have a timer that will close them: seen in the timer itself, not waited for."""

import asyncio
from unittest.mock import Mock

import pytest
from uvicorn.server import ServerState

from app.idle_connections import KEEP_ALIVE_SECONDS, Connection
from app.server import configured

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"


async def answer_early(scope, receive, send):
    """Without a look at the body."""
    headers = [(b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 429, "headers": headers})
    await send({"type": "http.response.body"})


class Caller:
    """Sends what it is told to, and sees the connection's timer."""

    def __init__(self) -> None:
        self.transport = Mock(is_closing=Mock(return_value=False))
        config = configured(answer_early, lifespan="off")
        loop = asyncio.get_running_loop()
        self.connection = Connection(config, ServerState(), {}, loop)
        self.connection.connection_made(self.transport)

    @property
    def timer(self) -> asyncio.TimerHandle | None:
        return self.connection.timeout_keep_alive_task

    def send(self, data: bytes) -> None:
        self.connection.data_received(data)

    async def answered(self) -> None:
        await asyncio.gather(*self.connection.tasks)


def test_who_never_sends_anything_is_timed():
    async def call():
        caller = Caller()
        left = caller.timer.when() - asyncio.get_running_loop().time()
        assert 0 < left <= KEEP_ALIVE_SECONDS
        caller.connection.timeout_keep_alive_handler()
        caller.transport.close.assert_called_once()

    asyncio.run(call())


def test_a_head_that_comes_in_drops_gains_no_time():
    async def call():
        caller = Caller()
        first = caller.timer
        caller.send(HEAD[:9])
        caller.send(HEAD[9:20])
        assert caller.timer is first
        assert not first.cancelled()

    asyncio.run(call())


def test_nobody_is_timed_whose_request_is_being_answered():
    async def call():
        caller = Caller()
        first = caller.timer
        caller.send(HEAD)
        assert caller.timer is None
        assert first.cancelled()
        caller.send(b"123")
        assert caller.timer is None

    asyncio.run(call())


@pytest.mark.parametrize("body", [b"123", b"123456789"])
def test_a_body_that_comes_after_the_answer_gains_no_time(body):
    async def call():
        caller = Caller()
        caller.send(HEAD)
        await caller.answered()
        after_the_answer = caller.timer
        assert after_the_answer is not None
        caller.send(body)
        assert caller.timer is after_the_answer
        assert not after_the_answer.cancelled()

    asyncio.run(call())
