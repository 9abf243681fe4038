"""The port for `/metrics` alone: who connects to it and sends nothing holds no thread."""

import asyncio
import socket
import threading

import httpx
import pytest

from app.metrics import Metrics
from app.metrics_port import serving_metrics

HOST = "127.0.0.1"
SILENT = 100


def free_port() -> int:
    with socket.create_server((HOST, 0)) as free:
        return free.getsockname()[1]


def test_connections_that_send_nothing_hold_no_threads():
    async def connect_and_ask():
        port = free_port()
        async with serving_metrics(Metrics(), HOST, port):
            before = threading.active_count()
            silent = [await asyncio.open_connection(HOST, port) for _ in range(SILENT)]
            async with httpx.AsyncClient() as client:
                scraped = await client.get(f"http://{HOST}:{port}/metrics")
                head = await client.head(f"http://{HOST}:{port}/metrics")
                other = await client.get(f"http://{HOST}:{port}/livez")
            assert (head.status_code, head.content) == (200, b"")
            assert other.json()["code"] == "not_found"
            assert "serfiq_ready" in scraped.text
            assert threading.active_count() == before
            for _, writer in silent:
                writer.close()

    asyncio.run(connect_and_ask())


def test_a_port_that_is_taken_is_told_of():
    async def serve_on(port):
        async with serving_metrics(Metrics(), HOST, port):
            pytest.fail("it is served twice")

    with socket.create_server((HOST, 0)) as taken, pytest.raises(OSError, match="in use"):
        asyncio.run(serve_on(taken.getsockname()[1]))
