"""Picture files as people have them: read, or called by their names with what to do.

Rebuilt from public reports: python-pillow/Pillow#1138, #4603 and #7954, element-hq/synapse#20024
(a camera's JPEG with a second picture), NousResearch/hermes-agent#67848 and #106408 (HEIC under
another name), open-webui/open-webui#9600 and anomalyco/opencode#17772 (AVIF).
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from kit import vision
from kit.errors import InvalidValue

CAMERA = (Path(__file__).parent / "data" / "camera_mpo.jpg").read_bytes()
RED = Image.new("RGB", (320, 200), (200, 30, 30))
GREY = Image.linear_gradient("L").resize((320, 200)).convert("RGB")
EXIF = b"Exif\0\0II*\0\xff\xff\xff\x7f"


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def several(kind: str, first: Image.Image = RED) -> bytes:
    return saved(first, kind, save_all=True, append_images=[GREY])


def boxes(major: bytes, others: bytes = b"") -> bytes:
    body = b"ftyp" + major + b"\0\0\0\0" + others
    return struct.pack(">I", 4 + len(body)) + body + bytes(200)


def part(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(side: int, more: bytes = b"") -> bytes:
    head = part(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + more + part(b"IDAT", zlib.compress(bytes(9)))


PICTURES = {
    "a camera's JPEG with a preview": (CAMERA, (240, 160)),
    "one whose preview was cut off": (CAMERA[:-400], (240, 160)),
    "one of Pillow's": (several("MPO"), (320, 200)),
    "a large one": (several("MPO", RED.resize((4200, 2800))), (4200, 2800)),
    "AVIF": (saved(GREY, "AVIF"), (320, 200)),
    "CMYK": (saved(RED.convert("CMYK"), "JPEG"), (320, 200)),
    "16 bits": (saved(Image.new("I;16", (320, 200), 4000), "PNG"), (320, 200)),
    "LAB": (saved(Image.new("LAB", (320, 200), (128, 10, 10)), "TIFF"), (320, 200)),
    "NaN": (saved(Image.new("F", (64, 64), float("nan")), "TIFF"), (64, 64)),
    "EXIF that is broken": (saved(GREY, "JPEG", exif=EXIF + b"\xff" * 30), (320, 200)),
    "EXIF that is none": (saved(GREY, "JPEG", exif=b"Exif\0\0garbage"), (320, 200)),
    "a WebP": (saved(GREY, "WEBP"), (320, 200)),
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_read(name: str) -> None:
    data, size = PICTURES[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, about what is broken
        image = vision.image(data)
    assert image.source_size == size
    sent = Image.open(io.BytesIO(image.data))
    assert sent.format in ("PNG", "JPEG", "WEBP")
    assert getattr(sent, "n_frames", 1) == 1


def test_the_first_of_a_cameras_pictures_is_sent_as_a_photo() -> None:
    image = vision.image(several("MPO"))
    assert image.media_type == "image/jpeg"
    r, g, b = Image.open(io.BytesIO(image.data)).convert("RGB").getpixel((160, 100))  # type: ignore[misc]
    assert r > 150 > 80 > max(g, b)  # RED, not GREY


OTHERS = {
    "an iPhone's": (boxes(b"heic", b"mif1heic"), "a HEIC photo", "sips"),
    "an iPhone's, 10 bits": (boxes(b"heix", b"mif1heix"), "a HEIC photo", "heif-convert"),
    "HEIF of another major brand": (boxes(b"mif1", b"mif1heic"), "a HEIC photo", "sips"),
    "AVIF that is broken": (boxes(b"mif1", b"mif1avif"), "AVIF", "JPEG or PNG"),
    "a camera raw file": (boxes(b"crx ", b"isom"), "camera raw", "JPEG or PNG"),
    "a video": (boxes(b"isom", b"avc1"), "a video", "kit.vision.video"),
    "a moving GIF": (several("GIF"), "2 frames", "kit.vision.video"),
    "a moving WebP": (several("WEBP"), "2 frames", "kit.vision.video"),
    "a moving PNG": (several("PNG"), "2 frames", "kit.vision.video"),
    "a scan of two pages": (several("TIFF"), "2 pages", "each page"),
    "a JPEG cut short": (saved(GREY, "JPEG")[:-900], "damaged", "save it again"),
    "a bomb": (png(30_000), "million", "shrink"),
    "a bomb in a text": (
        png(32, part(b"zTXt", b"a\0\0" + zlib.compress(bytes(80 << 20)))),
        "damaged",
        "",
    ),
    "a pointer": (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS", "git lfs pull"),
    "an icon": (saved(GREY.resize((64, 64)), "ICO"), "ICO", "JPEG or PNG"),
    "JPEG XL": (b"\xff\x0a" + bytes(60), "JPEG XL", "JPEG or PNG"),
    "Photoshop's": (b"8BPS\0\1" + bytes(60), "Photoshop", "JPEG or PNG"),
    "a saved page": (b"\n<!DOCTYPE html>", "a web page", "give a picture"),
    "a ZIP": (b"PK\x03\x04" + bytes(60), "a ZIP archive", "unpack"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_picture_is_called_by_its_name(name: str) -> None:
    data, named, hint = OTHERS[name]
    with pytest.raises(InvalidValue) as refused:
        vision.image(data, name="photo.jpg")
    assert named in refused.value.what
    assert hint in refused.value.hint
    assert "photo.jpg" in refused.value.what
