"""The body of a request, read as long as it is not too long and does not take too long.

All of it stays in memory: nothing is spooled to disk. What is in it, this file does not know.
"""

import asyncio

from starlette.requests import ClientDisconnect, Request

from app.request_errors import (
    BodyTimeoutError,
    BodyTooLargeError,
    ClientLeftError,
    UnsupportedEncodingError,
    quote,
)


async def read_body(request: Request, max_bytes: int, seconds: float) -> bytearray:
    """The whole body, as long as it is not too long. Not copied once more: for one of 64 MiB that
    would hold up the event loop for tens of milliseconds.

    Raises:
        UnsupportedEncodingError: it has a Content-Encoding, and so is not what its Content-Type
            says.
        BodyTooLargeError: announced in Content-Length, before a byte is read; or as soon as more
            than `max_bytes` have come.
        BodyTimeoutError: it was not complete after so many seconds.
        ClientLeftError: the caller hung up midway.
    """
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise UnsupportedEncodingError(
            f"Content-Encoding {quote(encoding)} is not taken: send the body as it is."
        )
    too_large = BodyTooLargeError(f"The body may have {max_bytes} bytes at most.")
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > max_bytes:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > max_bytes:
                    raise too_large
    except TimeoutError as error:
        raise BodyTimeoutError(f"The body did not come within {seconds:g} seconds.") from error
    except ClientDisconnect as error:
        raise ClientLeftError("The caller hung up before the body was complete.") from error
    return body
