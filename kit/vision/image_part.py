"""A picture as a content part: sized on purpose, encoded, and its cost known."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from kit.errors import InvalidValue
from kit.models.image_tokens import DELIMITERS, MAX_PIXELS, MIN_PIXELS, image_tokens, smart_resize
from kit.provenance import Provenance, computed
from kit.vision.file_picture import FilePicture
from kit.vision.load_image import Source, load

COUNTED = computed(
    f"smart_resize of Qwen's image processor, between {MIN_PIXELS:,} and {MAX_PIXELS:,} pixels"
)
_MEDIA = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}
_QUALITY = 92


class ContentPart(Protocol):
    """What a message holds beside its text: a picture or a video."""

    def to_part(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class ImagePart:
    """A picture that is ready to send. `width` × `height` pixels are sent; `source_size` is what
    it was. `tokens` are its vision tokens, `prompt_tokens` what the prompt grows by."""

    data: bytes = field(repr=False)
    media_type: str
    width: int
    height: int
    source_size: tuple[int, int]
    name: str = "image"

    @property
    def tokens(self) -> int:
        return image_tokens(self.width, self.height)

    @property
    def prompt_tokens(self) -> int:
        return self.tokens + DELIMITERS

    @property
    def seen(self) -> tuple[int, int]:
        """Width and height in pixels that the vision tower sees."""
        rows, columns = smart_resize(self.height, self.width)
        return columns, rows

    @property
    def provenance(self) -> Provenance:
        return COUNTED

    def to_part(self) -> dict[str, Any]:
        """The content part that `openai` sends, the picture inside it."""
        return {"type": "image_url", "image_url": {"url": data_url(self.media_type, self.data)}}

    def __str__(self) -> str:
        was, now = self.source_size, (self.width, self.height)
        size = by(was) if was == now else f"{by(was)}, sent as {by(now)}"
        return (
            f"{self.name}: {size} pixels, {len(self.data) / 1000:,.0f} kB · "
            f"{self.tokens:,} + {DELIMITERS} tokens · {self.provenance.kind}"
        )

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        return {self.media_type: base64.b64encode(self.data).decode(), "text/plain": str(self)}


def image(source: Source, max_pixels: int | None = None, name: str = "") -> ImagePart:
    """A picture out of a path, bytes, a Pillow image, an array, a figure or an http(s) URL.

    `max_pixels` caps what the model sees, and so its tokens: one for 32 × 32 pixels. A smaller
    picture stays as it is; none gets below MIN_PIXELS, since the server would enlarge it.
    `name` is what to call it, where it should not be its own.

    Raises InvalidValue for what is no picture, is damaged, too large or too thin; EndpointError
    for a URL that cannot be fetched.
    """
    if max_pixels is not None and max_pixels < MIN_PIXELS:
        raise InvalidValue(
            f"max_pixels={max_pixels:,}: the processor makes smaller pictures larger again",
            f"give at least {MIN_PIXELS:,}, which is {image_tokens(256, 256)} tokens",
        )
    picture = load(source, name)
    drawn, size = picture.image, picture.image.size
    smart_resize(size[1], size[0])  # a strip is refused here, by its own size
    raw = picture.raw
    most = min(max_pixels or MAX_PIXELS, MAX_PIXELS)
    rows, columns = smart_resize(*smart_resize(size[1], size[0], max_pixels=most))
    if (rows, columns) != smart_resize(size[1], size[0]) or size[0] * size[1] > MAX_PIXELS:
        if isinstance(drawn, FilePicture):
            drawn.resize()  # says what it needs
        from PIL import Image

        drawn = drawn.resize((columns, rows), Image.Resampling.LANCZOS)
        raw = None
    kind = picture.kind if picture.kind == "JPEG" or raw else "PNG"
    width, height = drawn.size
    data = raw or _encode(drawn, kind)
    return ImagePart(data, _MEDIA[kind], width, height, source_size=size, name=picture.name)


def message(text: str, *parts: ContentPart | Source) -> dict[str, Any]:
    """The user's message: pictures and videos in their order, then the text.

    A source that is no part yet becomes one by `image`.
    """
    content: list[Mapping[str, Any]] = []
    for part in parts:
        content.append(part.to_part() if hasattr(part, "to_part") else image(part).to_part())
    return {"role": "user", "content": [*content, {"type": "text", "text": text}]}


def data_url(media_type: str, data: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def by(size: tuple[int, int]) -> str:
    return f"{size[0]:,} × {size[1]:,}"


def _encode(picture: Any, kind: str) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **({"quality": _QUALITY} if kind == "JPEG" else {}))
    return out.getvalue()
