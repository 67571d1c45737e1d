"""A picture from anywhere becomes a part that is checked, upright, opaque, and of a known cost."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from kit import vision
from kit.errors import InvalidValue, KitError
from kit.models import model
from kit.models.image_tokens import MAX_PIXELS, MIN_PIXELS
from kit.vision import ImagePart, image

RED, BLUE, WHITE = (200, 30, 30), (20, 40, 200), (255, 255, 255)


def encoded(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def plain(width: int = 64, height: int = 48, colour: Any = RED, mode: str = "RGB") -> Image.Image:
    return Image.new(mode, (width, height), colour)


def sent(part: ImagePart) -> Image.Image:
    """What is inside the request, as a server opens it."""
    url = part.to_part()["image_url"]["url"]
    head, _, data = url.partition(",")
    assert head == f"data:{part.media_type};base64"
    opened = Image.open(io.BytesIO(base64.b64decode(data, validate=True)))
    assert opened.size == (part.width, part.height)
    assert f"image/{opened.format}".lower() == part.media_type
    return opened


# --- sources


def sources(folder: Path) -> dict[str, Any]:
    data = encoded(plain())
    path = folder / "red.png"
    path.write_bytes(data)
    array = np.full((48, 64, 3), RED, dtype=np.uint8)
    return {
        "path": path,
        "name of a path": str(path),
        "bytes": data,
        "bytearray": bytearray(data),
        "Pillow": plain(),
        "array of bytes": array,
        "array from 0 to 1": array / 255.0,
        "array with alpha": np.dstack([array, np.full((48, 64), 255, np.uint8)]),
    }


def test_every_source_gives_the_same_picture(tmp_path: Path) -> None:
    for name, source in sources(tmp_path).items():
        opened = sent(image(source))
        assert (opened.mode, opened.size) == ("RGB", (64, 48)), name
        assert opened.getpixel((10, 10)) == RED, name


def test_a_grey_array_has_two_or_three_dimensions() -> None:
    for shape in ((40, 50), (40, 50, 1)):
        assert sent(image(np.full(shape, 0.5))).getpixel((3, 3)) == (128, 128, 128)


def test_a_matplotlib_figure_is_drawn() -> None:
    figure = pytest.importorskip(
        "matplotlib.figure", reason="the course does without matplotlib: pip install matplotlib"
    ).Figure(figsize=(4, 3), dpi=100)
    figure.subplots().bar(["a", "b"], [1, 2])
    opened = sent(image(figure))
    assert min(opened.size) > 200
    assert len(opened.convert("RGB").getcolors(1 << 20) or ()) > 10


def test_a_plotly_figure_is_drawn_or_says_what_it_lacks() -> None:
    import plotly.graph_objects as go

    figure = go.Figure(go.Bar(x=["a", "b"], y=[1, 2]))
    try:
        part = image(figure)
    except KitError as problem:
        part, hint = None, problem.hint
    assert sent(part).width > 200 if part else "kaleido" in hint


def test_a_file_is_what_is_in_it_whatever_it_is_called(tmp_path: Path) -> None:
    path = tmp_path / "photo.txt"
    path.write_bytes(encoded(plain(), "JPEG"))
    assert image(path).media_type == "image/jpeg"


# --- what is sent


def test_a_plain_file_is_sent_byte_for_byte() -> None:
    for kind in ("PNG", "JPEG", "WEBP"):
        data = encoded(plain(), kind)
        assert image(data).data == data


def test_a_photo_is_turned_as_exif_says_and_says_no_more_where_it_was_taken() -> None:
    photo = plain(80, 40)
    photo.paste(BLUE, (0, 0, 40, 40))  # the left half
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter to the right
    exif[0x010F] = "a camera"
    part = image(encoded(photo, "JPEG", exif=exif, quality=95))
    opened = sent(part)
    assert opened.size == part.source_size == (40, 80)
    red, _, blue = opened.getpixel((20, 10))  # the left half is on top now
    assert blue > 150 > red
    assert not opened.getexif()


def test_what_is_transparent_becomes_white_and_not_what_was_hidden_there() -> None:
    ghost = plain(colour=(*BLUE, 0), mode="RGBA")
    assert sent(image(ghost)).getpixel((5, 5)) == WHITE
    assert sent(image(encoded(ghost))).getpixel((5, 5)) == WHITE
    half = sent(image(plain(colour=(0, 0, 0, 128), mode="RGBA"))).getpixel((5, 5))
    assert half == (127, 127, 127)


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_becomes_rgb(kind: str) -> None:
    part = image(encoded(plain(colour=(0, 255, 255, 0), mode="CMYK"), kind))
    red, green, blue = sent(part).getpixel((5, 5))
    assert red > 200 > 60 > max(green, blue)


def test_sixteen_bit_grey_is_stretched_and_not_cut() -> None:
    depth = np.linspace(0, 4000, 64, dtype=np.uint16).reshape(8, 8).repeat(4, 0).repeat(4, 1)
    opened = sent(image(encoded(Image.fromarray(depth), "PNG"))).convert("L")
    assert opened.getextrema() == (0, 255)
    assert 100 < opened.getpixel((16, 16)) < 160  # type: ignore[operator]


def test_a_palette_picture_keeps_its_colours() -> None:
    assert sent(image(encoded(plain().quantize(8), "GIF"))).getpixel((5, 5)) == RED


def test_the_picture_is_in_the_part_and_no_address_is(tmp_path: Path) -> None:
    path = tmp_path / "secret-name.png"
    path.write_bytes(encoded(plain()))
    message = vision.message("What is this?", path, plain())
    assert [part["type"] for part in message["content"]] == ["image_url", "image_url", "text"]
    assert message["role"] == "user"
    said = str(message)
    assert "file:" not in said
    assert str(tmp_path) not in said
    assert all(p["image_url"]["url"].startswith("data:image/") for p in message["content"][:2])


# --- size and cost


def test_720p_costs_880_and_two() -> None:
    part = image(plain(1280, 720))
    assert (part.tokens, part.prompt_tokens) == (880, 882)
    assert part.seen == (1280, 704)
    assert "880 + 2 tokens · computed" in str(part)


def test_the_cost_is_that_of_every_models_tower() -> None:
    part = image(plain(1000, 600))
    for name in ("397b", "0.8b"):
        tower = model(name).vision
        assert tower is not None
        assert part.tokens == tower.image_tokens(1000, 600)


@pytest.mark.parametrize("cap", [MIN_PIXELS, 100_000, 640 * 360, 1280 * 720])
@pytest.mark.parametrize("size", [(1280, 720), (300, 2000), (4000, 3000), (1999, 1501)])
def test_a_cap_holds_and_what_is_sent_is_what_is_seen(size: tuple[int, int], cap: int) -> None:
    part = image(plain(*size), max_pixels=cap)
    columns, rows = part.seen
    assert (part.width, part.height) in ((columns, rows), size)
    assert columns * rows >= MIN_PIXELS
    assert columns * rows <= cap or cap < 1.2 * MIN_PIXELS  # no room for a row between the two
    assert part.tokens == columns * rows // 32**2
    assert part.source_size == size


def test_a_cap_does_not_touch_a_smaller_picture() -> None:
    data = encoded(plain(320, 320))
    assert image(data, max_pixels=1280 * 720).data == data


def test_more_than_the_model_looks_at_is_not_sent() -> None:
    part = image(plain(6000, 4000))
    assert part.width * part.height <= MAX_PIXELS
    assert part.tokens == image(plain(part.width, part.height)).tokens


def test_a_cap_below_what_the_processor_makes_of_anything_is_refused() -> None:
    with pytest.raises(InvalidValue, match="larger again") as refused:
        image(plain(), max_pixels=MIN_PIXELS - 1)
    assert "64 tokens" in refused.value.hint


# --- what cannot be sent: each a line, and what to do

BAD: dict[str, tuple[Any, str]] = {
    "empty": (b"", "is empty"),
    "a text file called .png": (b"Dear model, please look at me.\n", "text, not a picture"),
    "a web page": (b"<!doctype html><html></html>", "a web page, not a picture"),
    "SVG": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
    "a PDF": (b"%PDF-1.7\n", "a PDF"),
    "a film": (b"\0\0\0\x20ftypisom\0\0\0\0", "a video"),
    "corrupt": (encoded(plain(400, 400))[:200], "damaged"),
    "corrupt inside": (encoded(plain(64, 64), "JPEG")[:-40], "damaged"),
    "noise": (bytes(range(128, 256)) * 9, "something else, not a picture"),
    "one pixel": (encoded(plain(1, 1)), "nothing to see"),
    "20,000 pixels": (encoded(Image.new("1", (20_000, 20_000))), "more than 179 million"),
    "20,000 pixels by 5,000": (encoded(Image.new("1", (20_000, 5_000))), "20,000 × 5,000"),
    "a strip": (encoded(plain(3000, 4)), "200 times"),
    "animated": (
        encoded(
            plain(),
            "GIF",
            save_all=True,
            append_images=[plain(colour=BLUE), plain(), plain(colour=WHITE)],
        ),
        "moves: it has 4 frames",
    ),
    "an array of the wrong shape": (np.zeros((4, 4, 7)), "shape"),
    "an array of the wrong kind": (np.zeros((40, 40), np.int32), "int32"),
    "an array beyond 1": (np.full((40, 40), 3.0), "from 0 to 1"),
    "an array with a hole": (np.full((40, 40), np.nan), "from 0 to 1"),
    "no picture at all": ({"url": "x"}, "a dict is no picture"),
    "a file that is not there": ("nowhere/at/all.png", "cannot be read"),
    "a folder": (Path(__file__).parent, "cannot be read"),
    "an address on the server's disk": ("file:///etc/passwd", "are not taken"),
    "an address that is its own data": ("data:image/png;base64,AAAA", "are not taken"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_picture_is_a_line_and_what_to_do(name: str) -> None:
    source, says = BAD[name]
    with pytest.raises(KitError) as refused:
        image(source)
    assert says in refused.value.what
    assert refused.value.hint
    assert len(str(refused.value).splitlines()) == 2


def test_a_bomb_is_refused_by_its_header() -> None:
    """Its pixels are never made: a picture of 40 GB from a file of a few bytes."""
    head = bytearray(encoded(plain(8, 8)))
    head[16:24] = (200_000).to_bytes(4, "big") * 2
    import zlib

    head[29:33] = zlib.crc32(bytes(head[12:29])).to_bytes(4, "big")
    with pytest.raises(InvalidValue, match="million pixels"):
        image(bytes(head))


def test_it_shows_itself_with_its_cost() -> None:
    shown = image(plain(1280, 720))._repr_mimebundle_()
    assert base64.b64decode(shown["image/png"])
    assert "880 + 2 tokens" in shown["text/plain"]
