"""A source → a picture that a vision model can be shown: checked, upright, opaque, RGB.

What a file is, its content says and not its name. Sizes are read from its header and refused
there, before a small file could unpack into gigabytes.
"""

from __future__ import annotations

import io
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from kit import http
from kit.errors import EndpointError, InvalidValue, KitError
from kit.http import MAX_BYTES, TIMEOUT_S
from kit.vision.file_picture import HINT, FilePicture, has_pillow

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "GIF", "BMP", "TIFF")
MOST_PIXELS = (
    89_478_485  # Pillow's own limit, where it warns of a bomb; a photo has 12 to 50 million
)
LEAST_SIDE = 2
_ORIENTATION = 0x0112
_SENT_AS = {"MPO": "JPEG", "AVIF": "JPEG"}  # photos, which PNG would make ten times larger
_SAVE_AS_JPEG = "save it as JPEG or PNG with the program that shows it, and give that"
_SHRINK = f"crop or shrink it to {MOST_PIXELS / 1e6:.0f} million: the model looks at 17 at most"
_WHICH = f"give a picture: {', '.join(FORMATS)}"
_SAVE_IT = "open it in a browser, save it, and give the file's path"

Source = Any  # str | Path | bytes | a Pillow image | an array | a matplotlib or plotly figure


class Picture(NamedTuple):
    """An RGB image. `raw` are the bytes it was read from, where they can be sent as they are."""

    image: Any  # a Pillow image, or a FilePicture
    raw: bytes | None
    kind: str
    name: str


def load(source: Source, name: str = "") -> Picture:
    """Raises InvalidValue for what is no picture, EndpointError for an address that fails."""
    data, found = read(source)
    name = name or found
    if data is None:
        image = _from_memory(source)
        if isinstance(image, FilePicture):
            return Picture(image, image.data, image.format, name)
        return Picture(_opaque(image), None, "PNG", name)
    image = open_checked(data, name)
    if isinstance(image, FilePicture):
        return Picture(image, data, image.format, name)
    _refuse_several(image, name)
    plain = image.mode == "RGB" and not image.getexif() and image.format in ("PNG", "JPEG", "WEBP")
    kind = str(image.format)
    return Picture(_upright(image), data if plain else None, _SENT_AS.get(kind, kind), name)


def _refuse_several(image: Image.Image, name: str) -> None:
    """Raises InvalidValue for what moves, or has pages. A camera's JPEG with more pictures in it
    (MPO: a preview, a depth map, the other eye) is a photo: its first picture is the photo."""
    count = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
    if count > 1 and image.format == "TIFF":
        raise InvalidValue(
            f"{name} has {count} pages", "give a picture for each page: save them one by one as PNG"
        )
    if count > 1:
        raise InvalidValue(
            f"{name} moves: it has {count} frames",
            "kit.vision.video(…) sends all of it; for one picture, save the frame you mean",
        )


def read(source: Source) -> tuple[bytes | None, str]:
    """The bytes of a path, an address or bytes, and what to call them; None for anything else."""
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source), "these bytes"
    if isinstance(source, str) and source.startswith(("http://", "https://")):
        return fetch(source), http.shown(source).rstrip("/").rpartition("/")[2].partition("?")[0]
    if isinstance(source, str) and re.match("file:|data:|[A-Za-z][A-Za-z0-9+.-]*://", source):
        scheme = source.partition(":")[0]
        raise InvalidValue(
            f"{scheme}: addresses are not taken",
            "give the file's path: the kit reads it here, and sends what is in it",
        )
    if isinstance(source, str | Path):
        return _file(Path(source).expanduser()), Path(source).name
    return None, str(getattr(source, "name", "this picture"))


def fetch(url: str, timeout_s: float = TIMEOUT_S, max_bytes: int = MAX_BYTES) -> bytes:
    """The bytes at `url`, all of them within `timeout_s`.

    Raises InvalidValue for an address that is not http(s), EndpointError for one that answers
    with an error, too much, too late or not at all.
    """
    try:
        parts = urlsplit(url)
        is_web = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        is_web = False
    if not is_web:
        raise InvalidValue(
            f"{http.shown(url)[:80]!r} is no web address", "give http:// or https://, or a path"
        )
    place = http.shown(url)
    try:
        reply = http.fetch(url, accept="image/*, */*", timeout_s=timeout_s, max_bytes=max_bytes)
    except http.NoReply as problem:
        says = {
            "too late": f"did not answer within {timeout_s:g} s",
            "too large": f"is larger than {max_bytes / 2**20:.0f} MiB",
            "broken": f"broke off: {problem.detail}",
        }.get(problem.reason, f"cannot be reached: {problem.detail}")
        raise EndpointError(f"{place} {says}", _SAVE_IT) from problem
    if not 200 <= reply.status < 300:
        raise EndpointError(f"{place} answers {reply.status} {reply.phrase}", _SAVE_IT)
    return reply.content


def open_checked(data: bytes, name: str) -> Any:
    """An image of an allowed kind and size, decoded whole. Raises InvalidValue."""
    if not data:
        raise InvalidValue(f"{name} is empty", _WHICH)
    if len(data) > MAX_BYTES:
        raise InvalidValue(f"{name} is larger than {MAX_BYTES / 2**20:.0f} MiB", "make it smaller")
    if not has_pillow():
        return FilePicture(data)
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a bomb, where ours is stricter; of broken EXIF
            image = Image.open(io.BytesIO(data), formats=FORMATS)
            check_size(*image.size, name)
            image.load()
    except UnidentifiedImageError as problem:
        what, hint = _looks_like(data)
        raise InvalidValue(f"{name} is {what}", hint) from problem
    except Image.DecompressionBombError as problem:
        raise InvalidValue(
            f"{name} would unpack to more than {2 * MOST_PIXELS / 1e6:.0f} million pixels", _SHRINK
        ) from problem
    except (OSError, SyntaxError, ValueError, EOFError) as problem:
        raise InvalidValue(f"{name} is damaged: {problem}", "open and save it again") from problem
    return image


def check_size(width: int, height: int, name: str, least: int = LEAST_SIDE) -> None:
    """Raises InvalidValue for a picture with nothing to see, and for one that is a bomb."""
    if min(width, height) < least:
        raise InvalidValue(
            f"{name} is {width} × {height} pixels: there is nothing to see in it",
            "look at the file; a placeholder of one pixel is the usual reason",
        )
    if width * height > MOST_PIXELS:
        raise InvalidValue(
            f"{name} is {width:,} × {height:,} pixels, {width * height / 1e6:,.0f} million", _SHRINK
        )


def _file(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InvalidValue(f"{path} is larger than {MAX_BYTES / 2**20:.0f} MiB", _WHICH)
        return path.read_bytes()
    except OSError as problem:
        raise InvalidValue(
            f"{path} cannot be read: {problem.strerror or problem}",
            f"look where you are: {Path.cwd()}",
        ) from problem


def _upright(image: Image.Image) -> Image.Image:
    """As the camera was held: the turn that EXIF asks for is made, and EXIF is left behind."""
    from PIL import ImageOps

    turned = ImageOps.exif_transpose(image) if image.getexif().get(_ORIENTATION) else image
    return _opaque(turned)


def _opaque(image: Image.Image) -> Image.Image:
    """RGB. What is transparent becomes white, as on a page: SGLang would drop the transparency,
    and show whatever colour had been hidden behind it."""
    from PIL import Image

    if image.mode.startswith("I") or image.mode == "F":
        low, high = image.getextrema()
        span = (float(high) - float(low)) or 1.0  # type: ignore[arg-type]
        image = image.convert("F").point(lambda v: (v - float(low)) * (255 / span)).convert("L")  # type: ignore[arg-type]
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        page = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(page, layer).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _from_memory(source: Source) -> Any:
    picture = getattr(source, "picture", None)  # of a drawing of the kit
    if isinstance(picture, FilePicture):
        return picture
    if not has_pillow():
        raise InvalidValue("reading this kind of picture needs Pillow, which is not here", HINT)
    from PIL import Image

    if isinstance(source, Image.Image):
        check_size(*source.size, "this picture")
        return source
    if isinstance(picture, Image.Image):
        return picture
    if hasattr(source, "savefig"):
        out = io.BytesIO()
        source.savefig(out, format="png", bbox_inches="tight")
        return open_checked(out.getvalue(), "this figure")
    if hasattr(source, "to_plotly_json"):
        return open_checked(_of_plotly(source), "this figure")
    if hasattr(source, "__array_interface__") or hasattr(source, "__array__"):
        return _from_array(source)
    raise InvalidValue(
        f"a {type(source).__name__} is no picture",
        "give a path, bytes, a Pillow image, an array, a matplotlib or plotly figure, or a URL",
    )


def _from_array(array: Any) -> Image.Image:
    """Rows × columns, or rows × columns × 1, 3 or 4; bytes, or numbers from 0 to 1."""
    import numpy as np
    from PIL import Image

    values = np.asarray(array)
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[:, :, 0]
    if values.ndim not in (2, 3) or (values.ndim == 3 and values.shape[2] not in (3, 4)):
        raise InvalidValue(
            f"an array of shape {values.shape}", "rows × columns, or rows × columns × 3 or 4"
        )
    check_size(values.shape[1], values.shape[0], "this array")
    if values.dtype == np.bool_:
        values = values.astype(np.float64)
    if np.issubdtype(values.dtype, np.floating):
        if not np.isfinite(values).all() or values.min() < 0 or values.max() > 1:
            raise InvalidValue("an array of numbers that are not all from 0 to 1", "scale it first")
        values = (values * 255).round().astype(np.uint8)
    if values.dtype != np.uint8:
        raise InvalidValue(f"an array of {values.dtype}", "give uint8, or numbers from 0 to 1")
    return Image.fromarray(np.ascontiguousarray(values))


def _of_plotly(figure: Any) -> bytes:
    try:
        return bytes(figure.to_image(format="png"))
    except (ValueError, RuntimeError, ImportError) as problem:
        raise KitError(
            "plotly needs kaleido, and that a browser, to make a picture of a figure",
            "pip install kaleido; or save the figure from its toolbar, and give the file",
        ) from problem


_OTHERS = {  # how a file begins → what it is, what to do
    b"%PDF": ("a PDF, not a picture", "save the page as PNG, and give that"),
    b"PK\x03\x04": ("a ZIP archive, not a picture", "unpack it, and give the picture in it"),
    b"version https://git-lfs": (
        "a Git LFS pointer, not a picture: the file itself was not downloaded",
        "git lfs pull",
    ),
    b"8BPS": ("a Photoshop file, not a picture that is read here", _SAVE_AS_JPEG),
    b"\x00\x00\x01\x00": ("an icon (ICO), not a picture that is read here", _SAVE_AS_JPEG),
    b"\x00\x00\x00\x0cjP  ": ("JPEG 2000, which is not read here", _SAVE_AS_JPEG),
    b"\x00\x00\x00\x0cJXL ": ("JPEG XL, which is not read here", _SAVE_AS_JPEG),
    b"\xff\x0a": ("JPEG XL, which is not read here", _SAVE_AS_JPEG),
    b"\x1a\x45\xdf\xa3": ("a video, not a picture", "kit.vision.video(…) takes it"),
}
_HEIC = re.compile(rb"he[iv][cxms]|mif1|msf1")


def _looks_like(data: bytes) -> tuple[str, str]:
    """What it is in place of a picture, and what to do."""
    head = data[:512].lstrip()
    for begins, named in _OTHERS.items():
        if data.startswith(begins):
            return named
    if data[4:8] == b"ftyp":
        return _in_boxes(data)
    if head[:1] == b"<" and (b"<svg" in head or b"<?xml" in head):
        return "SVG, which is text, not a picture", "save it as PNG, and give that"
    if head[:9].lower() == b"<!doctype" or head[:5].lower() == b"<html":
        return "a web page, not a picture", _WHICH
    try:
        data[:512].decode()
    except UnicodeDecodeError:
        return "something else, not a picture", _WHICH
    return "text, not a picture", _WHICH


def _in_boxes(data: bytes) -> tuple[str, str]:
    """A file of boxes, as of an iPhone: its brands are in the first one."""
    brands = data[8 : max(12, min(int.from_bytes(data[:4], "big"), 256))]
    if b"avif" in brands or b"avis" in brands:
        return (
            "an AVIF picture that is damaged, or of a kind that Pillow cannot read",
            _SAVE_AS_JPEG,
        )
    if brands.startswith(b"crx "):
        return "a camera raw file (CR3), not a picture", _SAVE_AS_JPEG
    if _HEIC.search(brands):
        return (
            "a HEIC photo, as iPhones save them, which is not read here",
            "convert it: sips -s format jpeg IN.heic --out OUT.jpg (a Mac), "
            "heif-convert IN.heic OUT.jpg (elsewhere)",
        )
    return "a video, not a picture", "kit.vision.video(…) takes it"
