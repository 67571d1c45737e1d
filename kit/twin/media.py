"""The images and videos of a request: opened as SGLang opens them, and counted.

The twin does not see. Of an image it knows the size, hence the tokens, and whether the kit drew it
(`kit.course.drawings`): there are authored replies about those.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from kit.course import drawings
from kit.errors import KitError
from kit.models.image_tokens import MAX_RATIO, image_tokens
from kit.twin.chat_format import IMAGE, MEDIA, ROW, Message, parts_of, time_stamp, video_text
from kit.twin.errors import bad_request, not_served
from kit.vision import avi, video
from kit.vision.load_image import FORMATS, check_size, fetch

# The cookbook's example picture. It is not fetched: the kit's own drawing after it stands in.
COOKBOOK_IMAGE = (
    "https://qianwen-res.oss-accelerate.aliyuncs.com/Qwen3.5/demo/CI_Demo/mathv-1327.jpg"
)
FETCH_S = 3.0  # SGLang's REQUEST_TIMEOUT for what it fetches
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


async def load_media(messages: Sequence[Message]) -> tuple[MediaItem, ...]:
    """All images and videos of the messages, in order. Raises Refused, in SGLang's words."""
    found, counts = [], {"image": 0, "video": 0}
    for message, parts in enumerate(map(parts_of, messages)):
        for part in parts:
            kind = str(part["type"])
            if "audio" in kind:
                raise not_served("audio")
            if kind not in MEDIA:
                continue
            url, detail = part[kind]["url"], part[kind].get("detail", "auto")
            kind = kind.removesuffix("_url")
            found.append(await asyncio.to_thread(_open, kind, url, detail, counts[kind], message))
            counts[kind] += 1
    return tuple(found)


def _open(kind: str, url: str, detail: Any, index: int, message: int) -> MediaItem:
    if url == COOKBOOK_IMAGE and kind == "image":
        return _stand_in(message)
    source = url
    if kind == "image":
        source = (
            f"ImageData(url={url[:200]!r}, detail={detail!r}, max_dynamic_patch=None, "
            "preprocess_kwargs=None, content_hash=None, max_long_side_pixel=None)"
        )
    try:
        data = _bytes(url)
        return _image(data, message) if kind == "image" else _video(data, message)
    except (OSError, SyntaxError, ValueError, KitError) as problem:
        why = problem.what if isinstance(problem, KitError) else str(problem)
        short = source[:100] + "..." if len(source) > 100 else source
        raise bad_request(
            f"An exception occurred while loading {kind.upper()} data at index {index}: "
            f"Error while loading data {short}: {why}"
        ) from problem


def _bytes(url: str) -> bytes:
    if url.startswith(("http://", "https://")):
        return fetch(url, FETCH_S)
    if url.startswith(("file://", "/")):
        raise not_served("files of its own disk")
    encoded = url
    if url.startswith("data:"):
        _, encoded = url.split(",", 1)
    try:
        return base64.b64decode(encoded, validate=True)
    except binascii.Error as problem:
        padded = "padding" in str(problem)
        raise ValueError("Incorrect padding" if padded else "Non-base64 digit found") from problem


def _image(data: bytes, message: int) -> MediaItem:
    from PIL import Image

    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        check_size(*image.size, "the image", least=1)
        pixels = image.convert("RGB")
    except (OSError, SyntaxError, Image.DecompressionBombError) as problem:
        raise ValueError(f"Could not decode image: {problem}") from problem
    width, height = pixels.size
    ratio = max(width, height) / min(width, height)
    if ratio > MAX_RATIO:  # the image processor's own message, without "An exception occurred"
        raise bad_request(f"absolute aspect ratio must be smaller than {MAX_RATIO}, got {ratio}")
    tokens = image_tokens(width, height)
    name = drawings.recognise(pixels, data)
    return MediaItem("image", (width, height), tokens, name, IMAGE, tokens - 1, message)


def _stand_in(message: int) -> MediaItem:
    out = io.BytesIO()
    drawings.geometry().picture.save(out, "PNG")
    return replace(_image(out.getvalue(), message), stands_in=True)


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
