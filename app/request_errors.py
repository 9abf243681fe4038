"""The errors of one HTTP request that the core has no notion of.

    RequestError
    ├── MalformedBodyError        not what its Content-Type promises, or not what is asked for
    ├── CaptureCountError         a batch of none, or of too many
    ├── UnauthorisedError         no API key, or a wrong one
    ├── BodyTooLargeError
    ├── BodyTimeoutError          it did not come in time
    ├── UnsupportedBodyError      a Content-Type that is not taken
    ├── UnsupportedEncodingError  a Content-Encoding: none is taken
    ├── ClientLeftError           the caller hung up; nobody reads the answer
    └── NotReadyError             ask again later, or ask another replica
        ├── StartingError
        ├── DrainingError
        └── LoadFailedError

`app/problems.py` has the one table that maps these, and the core's, to responses.
"""

QUOTED_CHARS = 40
"""Of a caller's own words, as much as helps to find the mistake."""


class RequestError(Exception):
    """Root of the errors that only a service over HTTP can have."""


class MalformedBodyError(RequestError):
    """The body is not what its Content-Type promises, or not what is asked for."""


class CaptureCountError(RequestError):
    """A batch has no captures, or more than are taken."""


class UnauthorisedError(RequestError):
    """No API key was sent, or one that is not known."""


class BodyTooLargeError(RequestError):
    """The body has more bytes than are taken."""


class BodyTimeoutError(RequestError):
    """The body did not come in time."""


class UnsupportedBodyError(RequestError):
    """The Content-Type is none of those taken."""


class UnsupportedEncodingError(RequestError):
    """The body is compressed, or encoded otherwise."""


class ClientLeftError(RequestError):
    """The caller hung up before the answer was ready."""


class NotReadyError(RequestError):
    """Nothing can be assessed at this time."""


class StartingError(NotReadyError):
    """The model is being loaded."""


class DrainingError(NotReadyError):
    """The service is shutting down and takes no new work."""


class LoadFailedError(NotReadyError):
    """The model could not be loaded."""


def quote(text: str) -> str:
    """A caller's own words, cut short, for the message of an error."""
    return repr(text if len(text) <= QUOTED_CHARS else f"{text[:QUOTED_CHARS]}…")
