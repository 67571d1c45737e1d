"""What a request shows: its images and videos, found, opened as SGLang opens them, and counted.

The twin does not see. Of a picture it knows the size, so the tokens, and whether the kit drew it
(`kit.course.drawings`): those have authored replies.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kit.course import drawings
from kit.errors import KitError
from kit.models.image_tokens import MAX_RATIO, image_tokens
from kit.twin.chat_format import IMAGE, MEDIA, ROW, Message, parts_of, time_stamp, video_text
from kit.twin.errors import bad_request, not_served
from kit.vision import avi, video
from kit.vision.load_image import FORMATS, check_size, fetch

FETCH_S = 3.0  # SGLang's REQUEST_TIMEOUT for what it fetches
_CONTAINERS = "videos but Motion JPEG in AVI, for it has no decoder"


@dataclass(frozen=True)
class Shown:
    """One picture or video. `text` stands for it in the prompt, and lacks `hidden` of its tokens.

    `turn` is the message it came with; `drawing` its name where the kit drew it. The vision tower
    looks at it in `pieces`: a picture is one, a video as many as it has rows.
    """

    kind: str
    size: tuple[int, int]
    tokens: int
    drawing: str | None
    text: str
    hidden: int
    turn: int
    pieces: int = 1

    def __str__(self) -> str:
        made = f", drawn by the kit ({self.drawing})" if self.drawing else ""
        width, height = self.size
        return f"{self.kind}, {width:,} × {height:,} pixels, {self.tokens:,} tokens{made}"


async def look(messages: Sequence[Message]) -> tuple[Shown, ...]:
    """Everything that the messages show, in order. Raises Refused, in SGLang's words."""
    found, numbers = [], {"image": 0, "video": 0}
    for turn, message in enumerate(messages):
        for part in parts_of(message):
            kind = str(part["type"])
            if "audio" in kind:
                raise not_served("audio")
            if kind not in MEDIA:
                continue
            url, detail = part[kind]["url"], part[kind].get("detail", "auto")
            kind = kind.removesuffix("_url")
            found.append(await asyncio.to_thread(_open, kind, url, detail, numbers[kind], turn))
            numbers[kind] += 1
    return tuple(found)


def vision_tokens(shown: Sequence[Shown]) -> dict[str, int]:
    """`image_tokens` and `video_tokens`, as usage has them: only where there are any."""
    kinds = dict.fromkeys(one.kind for one in shown)
    return {f"{kind}_tokens": sum(s.tokens for s in shown if s.kind == kind) for kind in kinds}


def _open(kind: str, url: str, detail: Any, index: int, turn: int) -> Shown:
    told = url
    if kind == "image":
        told = (
            f"ImageData(url={url[:200]!r}, detail={detail!r}, max_dynamic_patch=None, "
            "preprocess_kwargs=None, content_hash=None, max_long_side_pixel=None)"
        )
    try:
        data = _bytes(url)
        return _image(data, turn) if kind == "image" else _video(data, turn)
    except (OSError, SyntaxError, ValueError, KitError) as problem:
        said = problem.what if isinstance(problem, KitError) else str(problem)
        short = told[:100] + "..." if len(told) > 100 else told
        raise bad_request(
            f"An exception occurred while loading {kind.upper()} data at index {index}: "
            f"Error while loading data {short}: {said}"
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


def _image(data: bytes, turn: int) -> Shown:
    from PIL import Image

    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        check_size(*image.size, "the image", least=1)
        picture = image.convert("RGB")
    except (OSError, SyntaxError, Image.DecompressionBombError) as problem:
        raise ValueError(f"Could not decode image: {problem}") from problem
    width, height = picture.size
    ratio = max(width, height) / min(width, height)
    if ratio > MAX_RATIO:  # the processor's own words, which come without the ones around
        raise bad_request(f"absolute aspect ratio must be smaller than {MAX_RATIO}, got {ratio}")
    tokens = image_tokens(width, height)
    name = drawings.recognise(picture, data)
    return Shown("image", (width, height), tokens, name, IMAGE, tokens - 1, turn)


def _video(data: bytes, turn: int) -> Shown:
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
    return Shown("video", size, cost.tokens, name, text, cost.tokens - rows, turn, rows)
