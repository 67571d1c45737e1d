"""The images and videos of a request: opened as SGLang opens them, and counted.

The twin does not see. Of an image it knows the size, hence the tokens, and whether the kit drew it
(`kit.course.drawings`): there are authored replies about those.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import io
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

from kit.course import drawings
from kit.errors import KitError
from kit.models.image_tokens import MAX_RATIO, image_tokens
from kit.twin.chat_format import IMAGE, MEDIA, ROW, Message, parts_of, time_stamp, video_text
from kit.twin.errors import Refused, bad_request, not_served
from kit.twin.fetch import NotPublic, fetch_public
from kit.twin.workers import FETCHES, IMAGES, run_in, trim
from kit.vision import avi, video
from kit.vision.file_picture import has_pillow
from kit.vision.load_image import FORMATS, check_size, open_checked

T = TypeVar("T")

# The cookbook's example picture. It is not fetched: the kit's own drawing after it stands in.
COOKBOOK_IMAGE = (
    "https://qianwen-res.oss-accelerate.aliyuncs.com/Qwen3.5/demo/CI_Demo/mathv-1327.jpg"
)
FETCH_S = 3.0  # SGLang's REQUEST_TIMEOUT for what it fetches
_LOAD_S = 30.0  # for opening or decoding one image, waiting for its turn included
_MOST_PIXELS = 300_000_000  # of all images of a request: a context full of the largest
_MOST_FETCHED = 64 * 2**20  # bytes of all addresses of a request: SGLang's limit for one
_MOST_ADDRESSES = 32
_MOST_WORK = 1_000_000_000  # scans of a JPEG times its pixels; a progressive one has ten scans
_LARGEST_DRAWING = 4_000_000  # pixels; a larger image is none of the kit's drawings
_CONTAINERS = "videos other than Motion JPEG in AVI, for it has no decoder"


@dataclass(frozen=True)
class MediaItem:
    """One image or video. `text` stands for it in the prompt, with `missing` fewer tokens.

    `message` is the index of its message; `drawing` is its name where the kit drew it. The vision
    tower processes it in `pieces`: an image is one, a video as many as it has rows. It `stands_in`
    where it is the kit's drawing in place of the cookbook's picture.
    """

    kind: str
    size: tuple[int, int]
    tokens: int
    drawing: str | None
    text: str
    missing: int
    message: int
    pieces: int = 1
    stands_in: bool = False

    @property
    def of_clip(self) -> bool:
        """Whether it is the kit's clip, or a frame of it."""
        return self.drawing == drawings.CLIP

    def __str__(self) -> str:
        made = f", drawn by the kit ({self.drawing})" if self.drawing else ""
        made += ", in place of the cookbook's picture, which was not fetched" * self.stands_in
        width, height = self.size
        return f"{self.kind}, {width:,} × {height:,} pixels, {self.tokens:,} tokens{made}"


@dataclass(frozen=True)
class Part:
    """An image or a video of a request: its address, and the index of it among its kind."""

    kind: str
    url: str
    detail: Any
    index: int
    message: int

    def refused(self, why: str) -> Refused:
        """The error for one that cannot be loaded, in SGLang's words."""
        source = self.url
        if self.kind == "image":
            source = (
                f"ImageData(url={self.url[:200]!r}, detail={self.detail!r}, "
                "max_dynamic_patch=None, preprocess_kwargs=None, content_hash=None, "
                "max_long_side_pixel=None)"
            )
        short = source[:100] + "..." if len(source) > 100 else source
        return bad_request(
            f"An exception occurred while loading {self.kind.upper()} data at index {self.index}: "
            f"Error while loading data {short}: {why}"
        )


async def load_media(messages: Sequence[Message], context_length: int) -> tuple[MediaItem, ...]:
    """All images and videos of the messages, in order. Raises Refused, in SGLang's words.

    First all are opened, which costs little, then the images are decoded: not where they are too
    many for the context, and not more pixels than `_MOST_PIXELS`.
    """
    found: list[tuple[Part, bytes, MediaItem]] = []
    failed, fetched, pixels = None, 0, 0
    parts = list(_parts(messages))
    if sum(_is_address(part.url) for part in parts) > _MOST_ADDRESSES:
        raise not_served(f"more than {_MOST_ADDRESSES} addresses in one request")
    for part in parts:
        try:
            data = await _bytes(part, _MOST_FETCHED - fetched)
            found.append((part, data, await _tried(part, partial(_open, part, data))))
        except Refused as problem:
            failed = problem
            break
        fetched += len(data) if _is_address(part.url) else 0
        width, height = found[-1][2].size
        pixels += width * height if part.kind == "image" else 0
    items = [item for *_, item in found]
    if failed is None and sum(item.tokens for item in items) > context_length:
        return tuple(items)
    if pixels > _MOST_PIXELS:
        raise not_served(f"more than {_MOST_PIXELS / 1e6:.0f} million pixels in one request")
    for i, (part, data, item) in enumerate(found):
        if part.kind == "image" and not item.stands_in:
            items[i] = await _tried(part, partial(_decoded, item, data))
    if pixels > _LARGEST_DRAWING:
        IMAGES.submit(trim)
    if failed is not None:
        raise failed
    return tuple(items)


def _parts(messages: Sequence[Message]) -> Iterator[Part]:
    counts = {"image": 0, "video": 0}
    for message, parts in enumerate(map(parts_of, messages)):
        for part in parts:
            kind = str(part["type"])
            if "audio" in kind:
                raise not_served("audio")
            if kind not in MEDIA:
                continue
            url, detail = part[kind]["url"], part[kind].get("detail", "auto")
            kind = kind.removesuffix("_url")
            yield Part(kind, url, detail, counts[kind], message)
            counts[kind] += 1


async def _tried(part: Part, work: Callable[[], T], pool: ThreadPoolExecutor = IMAGES) -> T:
    """Do the work in a thread. Raises Refused where the part cannot be loaded."""
    try:
        return await asyncio.wait_for(run_in(pool, work), _LOAD_S)
    except TimeoutError as problem:
        raise part.refused(f"it took more than {_LOAD_S:g} s") from problem
    except NotPublic as problem:
        raise bad_request(
            "The twin fetches from the public internet alone, and this address is elsewhere. "
            f"Send the {part.kind} itself, as a data: URL."
        ) from problem
    except (OSError, SyntaxError, ValueError, KitError) as problem:
        why = problem.what if isinstance(problem, KitError) else str(problem)
        raise part.refused(why) from problem


def _is_address(url: str) -> bool:
    return url.startswith(("http://", "https://"))


async def _bytes(part: Part, max_bytes: int) -> bytes:
    url = part.url
    if url == COOKBOOK_IMAGE and part.kind == "image":
        return b""
    if _is_address(url):
        return await _tried(part, partial(fetch_public, url, FETCH_S, max_bytes), FETCHES)
    if url.startswith(("file://", "/")):
        raise bad_request(
            "The twin does not serve files of its own disk. "
            f"Send the {part.kind} itself, as a data: URL."
        )
    return await _tried(part, partial(_decode_base64, url))


def _decode_base64(url: str) -> bytes:
    encoded = url
    if url.startswith("data:"):
        _, encoded = url.split(",", 1)
    try:
        return base64.b64decode(encoded, validate=True)
    except binascii.Error as problem:
        padded = "padding" in str(problem)
        raise ValueError("Incorrect padding" if padded else "Non-base64 digit found") from problem


def _open(part: Part, data: bytes) -> MediaItem:
    if part.kind == "video":
        return _video(data, part.message)
    if part.url == COOKBOOK_IMAGE:
        out = io.BytesIO()
        drawings.geometry().picture.save(out, "PNG")
        opened = _image(out.getvalue(), part.message)
        return replace(_decoded(opened, out.getvalue()), stands_in=True)
    return _image(data, part.message)


def _image(data: bytes, message: int) -> MediaItem:
    """An image by its header alone."""
    with _pillow(data) as image:
        width, height = image.size
    ratio = max(width, height) / min(width, height)
    if ratio > MAX_RATIO:  # the image processor's own message, without "An exception occurred"
        raise bad_request(f"absolute aspect ratio must be smaller than {MAX_RATIO}, got {ratio}")
    tokens = image_tokens(width, height)
    return MediaItem("image", (width, height), tokens, None, IMAGE, tokens - 1, message)


def _decoded(item: MediaItem, data: bytes) -> MediaItem:
    """The image, read to its end, and looked for among the kit's drawings."""
    with _pillow(data) as image:
        image.load()
        width, height = item.size
        if width * height > _LARGEST_DRAWING:
            return item
        return replace(item, drawing=drawings.recognise(image.convert("RGB"), data))


@contextmanager
def _pillow(data: bytes) -> Iterator[Any]:
    """The image, opened. Raises ValueError where Pillow cannot read it; without Pillow, for what is
    neither PNG nor JPEG."""
    if not has_pillow():
        yield open_checked(data, "the image")
        return
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            check_size(*image.size, "the image", least=1)
            scans = data.count(b"\xff\xda") if image.format in ("JPEG", "MPO") else 1
            if scans * image.width * image.height > _MOST_WORK:
                raise ValueError(f"{scans} scans of {image.width} × {image.height} pixels")
            yield image
    except (OSError, SyntaxError, Image.DecompressionBombError, EOFError) as problem:
        raise ValueError(f"Could not decode image: {problem}") from problem


def _video(data: bytes, message: int) -> MediaItem:
    if not avi.is_avi(data):
        if data[4:8] == b"ftyp" or data[:4] == b"\x1a\x45\xdf\xa3":
            raise not_served(_CONTAINERS)
        raise ValueError("Could not decode video: no video format is recognised")
    clip = video(data)
    film, cost = clip.film, clip.cost
    if film is None or cost is None:
        raise not_served(_CONTAINERS)
    text = video_text("".join(time_stamp(t_s) + ROW for t_s in cost.times_s))
    name = drawings.CLIP if film == drawings.clip().film else None
    rows = len(cost.times_s)
    size = (film.width, film.height)
    return MediaItem("video", size, cost.tokens, name, text, cost.tokens - rows, message, rows)
