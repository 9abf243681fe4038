"""The two forms in which a batch of captures may come, and the bytes of each image in it.

Such a body may have tens of megabytes. It is taken apart on a worker thread, and piece by piece.
"""

from python_multipart.multipart import parse_options_header

from app.form import Form
from app.json_strings import JsonReader, base64_bytes
from app.request_errors import CaptureCountError, MalformedBodyError, UnsupportedBodyError, quote

MEMBER = "images"
"""The name of the one member, in JSON. Of a form it is the field of a single capture, repeated."""

MOST_CAPTURES = 64


def extract_images(
    content_type: str, body: bytes | bytearray, most_bytes: int
) -> list[bytes | None]:
    """The bytes of each image in a body, in order: 1 to `MOST_CAPTURES`.

    Args:
        content_type: the header, parameters included.
        body: the whole body.
        most_bytes: of one image. In place of a larger one stands None.

    Raises:
        UnsupportedBodyError: a Content-Type that is not taken.
        MalformedBodyError: the body is not what the Content-Type promises.
        CaptureCountError: it holds no image, or too many.
    """
    media_type, parameters = parse_options_header(content_type)
    match media_type.decode("latin-1"):
        case "multipart/form-data":
            form = Form(MOST_CAPTURES, _wrong_count("more"), most_bytes)
            form.read(parameters.get(b"boundary", b""), body)
            images = [bytes(each) if len(each) <= most_bytes else None for each in form.images]
        case "application/json":
            images = _images_of_json(body, most_bytes)
        case other:
            raise UnsupportedBodyError(
                f"{quote(other)} is not taken; multipart/form-data and application/json are."
            )
    if not images:
        raise _wrong_count("none")
    return images


def _wrong_count(found: str) -> CaptureCountError:
    return CaptureCountError(f"A batch has 1 to {MOST_CAPTURES} captures; this one has {found}.")


def _images_of_json(body: bytes | bytearray, most_bytes: int) -> list[bytes | None]:
    refusal = MalformedBodyError(
        f'The body must be JSON, an object with one member: {{"{MEMBER}": ["…", …]}}.'
    )
    reader = JsonReader(body, refusal)
    reader.begin_object(MEMBER.encode())
    reader.expect(b"[")
    images: list[bytes | None] = []
    more = not reader.take(b"]")
    while more:
        if len(images) == MOST_CAPTURES:
            raise _wrong_count("more")
        images.append(_decoded(reader.string(), len(images), most_bytes))
        more = reader.take(b",")
        if not more:
            reader.expect(b"]")
    reader.end_object()
    return images


def _decoded(text: bytes | None, index: int, most_bytes: int) -> bytes | None:
    if text is not None and len(text) > 4 * (most_bytes // 3 + 1):  # three bytes in four characters
        return None
    image = base64_bytes(text, f"{MEMBER}[{index}]")
    return image if len(image) <= most_bytes else None
