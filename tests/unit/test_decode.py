"""Decoding: every type and colour that is taken, and every kind of file that is not."""

import io
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from PIL import Image

from serfiq_core import decode as decode_module
from serfiq_core.decode import decode
from serfiq_core.errors import (
    CaptureError,
    ImageDimensionsError,
    UndecodableImageError,
    UnsupportedImageTypeError,
)
from serfiq_core.image_parts import MAXIMUM_JPEG_SCANS
from tests.encoded import (
    bmp_header,
    encoded,
    jpeg_of_size,
    picture,
    png,
    png_chunk,
    webp_canvas,
)

PICTURE = picture()
GREY = PICTURE[:, :, 0]
LOSSLESS = {"PNG": {}, "BMP": {}, "WEBP": {"lossless": True}}
SOUND = {
    "JPEG": encoded(Image.fromarray(PICTURE), "JPEG", quality=95),
    **{name: encoded(Image.fromarray(PICTURE), name, **how) for name, how in LOSSLESS.items()},
}


def largest_difference(a, b):
    return int(np.abs(a.astype(int) - b).max())


def grey_as_rgb(grey):
    return np.repeat(grey[:, :, None], 3, axis=2)


class TestTypes:
    @pytest.mark.parametrize("name", LOSSLESS)
    def test_lossless_types_give_their_pixels(self, name):
        sample = decode(SOUND[name])
        assert sample.pixels.dtype == np.uint8
        np.testing.assert_array_equal(sample.pixels, PICTURE)

    def test_jpeg_gives_nearly_its_pixels(self):
        sample = decode(SOUND["JPEG"])
        assert largest_difference(sample.pixels, PICTURE) < 12

    def test_several_pictures_in_one_jpeg_give_the_first(self):
        first, second = Image.fromarray(PICTURE), Image.fromarray(255 - PICTURE)
        data = encoded(first, "MPO", save_all=True, append_images=[second])
        sample = decode(data)
        assert largest_difference(sample.pixels, PICTURE) < 40

    @pytest.mark.parametrize("name", ["PNG", "WEBP"])
    def test_animated_files_give_their_first_frame(self, name):
        first, second = Image.fromarray(PICTURE), Image.fromarray(255 - PICTURE)
        options = {"save_all": True, "append_images": [second], **LOSSLESS[name]}
        np.testing.assert_array_equal(
            decode(encoded(first, name, duration=100, **options)).pixels, PICTURE
        )


class TestColours:
    @pytest.mark.parametrize("name", ["JPEG", "PNG", "BMP", "WEBP"])
    def test_grey_gives_three_equal_channels(self, name):
        data = encoded(Image.fromarray(GREY), name, **LOSSLESS.get(name, {"quality": 95}))
        assert largest_difference(decode(data).pixels, grey_as_rgb(GREY)) < 6

    def test_grey_with_alpha_lies_on_white(self):
        alpha = np.full_like(GREY, 255)
        alpha[:, :20] = 0
        data = encoded(Image.fromarray(np.dstack((GREY, alpha)), "LA"), "PNG")
        expected = grey_as_rgb(np.where(alpha == 0, 255, GREY))
        np.testing.assert_array_equal(decode(data).pixels, expected)

    @pytest.mark.parametrize("name", ["PNG", "WEBP"])
    def test_colour_with_alpha_lies_on_white(self, name):
        alpha = np.full_like(GREY, 255)
        alpha[:, :20], alpha[:, 20:40] = 0, 128
        data = encoded(Image.fromarray(np.dstack((PICTURE, alpha))), name, **LOSSLESS[name])
        share = alpha[:, :, None] / 255
        expected = PICTURE * share + 255 * (1 - share)
        assert largest_difference(decode(data).pixels, expected.round()) <= 1

    @pytest.mark.parametrize("name", ["PNG", "BMP"])
    def test_a_palette_gives_its_colours(self, name):
        image = Image.fromarray(PICTURE).quantize(16)
        expected = np.asarray(image.convert("RGB"))
        np.testing.assert_array_equal(decode(encoded(image, name)).pixels, expected)

    def test_palette_with_a_transparent_colour_lies_on_white(self):
        image = Image.fromarray(PICTURE).quantize(16)
        expected = np.asarray(image.convert("RGB")).copy()
        expected[np.asarray(image) == 3] = 255
        np.testing.assert_array_equal(
            decode(encoded(image, "PNG", transparency=3)).pixels, expected
        )

    def test_colour_with_a_transparent_colour_lies_on_white(self):
        pixels = PICTURE.copy()
        pixels[:10] = (1, 2, 3)
        expected = pixels.copy()
        expected[:10] = 255
        data = encoded(Image.fromarray(pixels), "PNG", transparency=(1, 2, 3))
        np.testing.assert_array_equal(decode(data).pixels, expected)

    @pytest.mark.parametrize("name", ["PNG", "BMP"])
    def test_one_bit_gives_black_and_white(self, name):
        image = Image.fromarray(GREY > 128)
        expected = grey_as_rgb(np.where(GREY > 128, 255, 0))
        np.testing.assert_array_equal(decode(encoded(image, name)).pixels, expected)

    def test_16_bit_grey_is_scaled_not_clipped(self):
        data = encoded(Image.fromarray(GREY.astype(np.uint16) * 257), "PNG")
        np.testing.assert_array_equal(decode(data).pixels, grey_as_rgb(GREY))

    @pytest.mark.parametrize("channels", [3, 4])
    def test_16_bit_colour_is_scaled(self, channels):
        opaque = np.dstack((PICTURE[:, :, ::-1], np.full_like(GREY, 255)))[:, :, :channels]
        written, data = cv2.imencode(".png", opaque.astype(np.uint16) * 257)
        assert written
        np.testing.assert_array_equal(decode(data.tobytes()).pixels, PICTURE)

    def test_cmyk_as_adobe_writes_it_gives_its_colours(self):
        data = encoded(Image.fromarray(PICTURE).convert("CMYK"), "JPEG", quality=95)
        assert b"Adobe" in data
        assert largest_difference(decode(data).pixels, PICTURE) < 20


STORED = {
    1: lambda u: u,
    2: lambda u: u[:, ::-1],
    3: lambda u: u[::-1, ::-1],
    4: lambda u: u[::-1],
    5: lambda u: u.swapaxes(0, 1),
    6: lambda u: u.swapaxes(0, 1)[::-1],
    7: lambda u: u.swapaxes(0, 1)[::-1, ::-1],
    8: lambda u: u.swapaxes(0, 1)[:, ::-1],
}
"""Orientation → how the camera stored it: EXIF 2.3, 4.6.4, the sides that row 0 and column 0
are."""


class TestOrientation:
    @pytest.mark.parametrize("name", ["PNG", "WEBP", "JPEG"])
    @pytest.mark.parametrize("orientation", STORED)
    def test_the_sample_is_upright(self, orientation, name):
        stored = np.ascontiguousarray(STORED[orientation](PICTURE))
        exif = Image.Exif()
        exif[0x0112] = orientation
        how = LOSSLESS.get(name, {"quality": 95})
        data = encoded(Image.fromarray(stored), name, exif=exif, **how)
        assert largest_difference(decode(data).pixels, PICTURE) < 12

    @pytest.mark.parametrize("orientation", [0, 9, 40000])
    def test_what_exif_does_not_know_changes_nothing(self, orientation):
        exif = Image.Exif()
        exif[0x0112] = orientation
        data = encoded(Image.fromarray(PICTURE), "PNG", exif=exif)
        np.testing.assert_array_equal(decode(data).pixels, PICTURE)

    @pytest.mark.filterwarnings("ignore::UserWarning")
    @pytest.mark.parametrize(
        "exif",
        [
            b"",
            b"rubbish",
            b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x02\0\0\0\x04abc\0",
            b"MM\0*\xff\xff\xff\xff",
            b"II*\0\x08\0\0\0\xff\xff" + b"\x12\x01\x05\0\xff\xff\xff\x7f\0\0\0\0" * 9,
        ],
    )
    def test_damaged_exif_does_not_cost_a_sound_photograph(self, exif):
        data = encoded(Image.fromarray(PICTURE), "PNG", exif=b"Exif\0\0" + exif)
        np.testing.assert_array_equal(decode(data).pixels, PICTURE)


class TestOtherTypes:
    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"\0",
            b"\xff\xd8",
            b"this is not a photograph, whatever its name says\n",
            b"BM is how this sentence begins, and some image files",
            b"<!doctype html><html><body>404</body></html>",
            b'<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64"/>',
            b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>',
            b"%PDF-1.7\n",
            b"GIF89a/*\x01\x00\x01\x00*/=1;alert(1)//",
            b"RIFF\x24\0\0\0WAVEfmt ",
            encoded(Image.fromarray(PICTURE), "GIF"),
            encoded(Image.fromarray(PICTURE), "TIFF"),
            encoded(Image.fromarray(PICTURE), "ICO"),
            encoded(Image.fromarray(PICTURE), "PPM"),
        ],
        ids=lambda data: repr(data[:12]),
    )
    def test_other_types_are_refused_as_such(self, data):
        with pytest.raises(UnsupportedImageTypeError):
            decode(data)

    @pytest.mark.parametrize("name", SOUND)
    def test_behind_a_sound_image_nothing_else_is_looked_at(self, name):
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("page.html", "<script>alert(1)</script>")
        tail = b"<html><script>alert(1)</script></html>" + archive.getvalue()
        polyglot, plain = decode(SOUND[name] + tail), decode(SOUND[name])
        np.testing.assert_array_equal(polyglot.pixels, plain.pixels)


class TestDimensions:
    @pytest.mark.parametrize(
        "data",
        [
            png(50_000, 50_000),
            png(10_000, 10_000),
            png(2_000_000_000, 2_000_000_000),
            bmp_header(50_000, 50_000),
            webp_canvas(16_384, 16_384),
            webp_canvas(1 << 24, 255),
            jpeg_of_size(65_000, 65_000),
        ],
        ids=["png 50000", "png 10000", "png 2e9", "bmp", "webp", "webp long", "jpeg"],
    )
    @pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
    def test_too_many_pixels_are_refused_before_any_is_decoded(self, data):
        # All but one hold no pixels: decoding them would end as "ends early" instead.
        with pytest.raises(ImageDimensionsError, match="40 megapixels"):
            decode(data)

    @pytest.mark.filterwarnings("error::PIL.Image.DecompressionBombWarning")
    def test_pillows_own_warning_made_an_error_is_no_other_answer(self):
        with pytest.raises(ImageDimensionsError):
            decode(png(10_000, 10_000))

    def test_a_decompression_bomb_is_refused(self):
        rows = zlib.compress(bytes(1 + 15_000 // 8) * 15_000, 9)
        bomb = png(15_000, 15_000, png_chunk(b"IDAT", rows), depth=1, colour_type=0)
        assert len(bomb) < 100_000
        with pytest.raises(ImageDimensionsError):
            decode(bomb)

    def test_a_second_header_is_refused(self):
        """Or a large image would be let in as the work of a small one."""
        sound = SOUND["PNG"]
        other = png(32, 32)
        first = other[: other.index(b"IEND") - 4]
        with pytest.raises(UndecodableImageError, match="several sizes"):
            decode(first + sound[8:])

    @pytest.mark.parametrize("name", LOSSLESS)
    def test_an_image_of_several_pieces_is_whole(self, name, monkeypatch):
        monkeypatch.setattr(decode_module, "PIECE_PIXELS", 64 * 10)
        np.testing.assert_array_equal(decode(SOUND[name]).pixels, PICTURE)

    @pytest.mark.parametrize("size", [(1, 1), (31, 640), (640, 31)])
    @pytest.mark.parametrize("name", SOUND)
    def test_a_short_side_is_refused(self, name, size):
        with pytest.raises(ImageDimensionsError, match="32 pixels"):
            decode(encoded(Image.new("RGB", size), name))

    @pytest.mark.parametrize("name", SOUND)
    def test_limits_are_inclusive(self, name, monkeypatch):
        data = encoded(Image.new("RGB", (32, 40)), name)
        monkeypatch.setattr(decode_module, "MAXIMUM_PIXELS", 32 * 40)
        assert decode(data).pixels.shape == (40, 32, 3)
        monkeypatch.setattr(decode_module, "MAXIMUM_PIXELS", 32 * 40 - 1)
        with pytest.raises(ImageDimensionsError):
            decode(data)


class TestDamage:
    @pytest.mark.parametrize("name", SOUND)
    @pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
    def test_a_truncated_file_is_undecodable(self, name, share):
        data = SOUND[name]
        with pytest.raises(UndecodableImageError):
            decode(data[: int(len(data) * share)])

    @pytest.mark.filterwarnings("ignore::UserWarning")
    @pytest.mark.parametrize("name", SOUND)
    def test_every_shorter_file_gives_an_error_of_the_capture(self, name):
        data = encoded(Image.fromarray(picture(32, 33)), name)
        refused = 0
        for length in range(len(data)):
            try:
                decode(data[:length])
            except CaptureError:
                refused += 1
        assert refused > len(data) / 2

    def test_rubbish_after_a_true_beginning_is_undecodable(self):
        for data in SOUND.values():
            with pytest.raises(UndecodableImageError):
                decode(data[:18] + bytes(range(256)) * 4)

    @pytest.mark.parametrize("kind", [b"zTXt", b"iCCP"])
    def test_compressed_text_and_profiles_that_explode_are_undecodable(self, kind):
        explosive = png_chunk(kind, b"Name\0\0" + zlib.compress(bytes(100_000_000), 1))
        pixels = png_chunk(b"IDAT", zlib.compress((b"\0" + bytes(64 * 3)) * 48))
        assert decode(png(64, 48, pixels)).pixels.shape == (48, 64, 3)
        with pytest.raises(UndecodableImageError):
            decode(png(64, 48, explosive, pixels))

    def test_a_jpeg_of_endless_scans_is_undecodable(self):
        data = encoded(Image.fromarray(PICTURE), "JPEG", progressive=True)
        last = data.rindex(b"\xff\xda")
        bomb = data[:last] + data[last:-2] * MAXIMUM_JPEG_SCANS + data[-2:]
        decode(data)
        with pytest.raises(UndecodableImageError, match="scans"):
            decode(bomb)
        tables_only = b"\xff\xd8\xff\xd9"  # an image without one, which decoders pass over
        decode(tables_only + data)
        with pytest.raises(UndecodableImageError, match="scans"):
            decode(tables_only + bomb)


def test_many_threads_at_once_each_get_their_own_picture():
    files = [*SOUND.values(), SOUND["PNG"][:90], b"text"] * 8

    def outcome(data):
        try:
            return decode(data).pixels.tobytes()
        except CaptureError as error:
            return type(error)

    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(outcome, files))
    assert together == [outcome(data) for data in files]
