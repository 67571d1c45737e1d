"""A video → a `video_url` part for a server that decodes it, or its frames for one that does not.

SGLang decodes videos itself (torchcodec or decord, FFmpeg behind both). What Pillow can open (an
animated GIF, WebP or PNG), a list of pictures and Motion JPEG become, or stay, Motion JPEG in an
AVI file. MP4, MOV and WebM are sent as they are; to decode those here would take a library whose
wheels bundle codecs under the GPL.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from kit.errors import InvalidValue
from kit.models.images import VideoCost, video_cost
from kit.provenance import Provenance, computed
from kit.vision import avi, mp4
from kit.vision.avi import Film
from kit.vision.mp4 import Timing
from kit.vision.parts import ImagePart, by, data_url, image
from kit.vision.pictures import Source, load, open_checked, read

COUNTED = computed("how SGLang 0.5.23 picks frames, and Qwen's video processor sizes them")
MOST_FRAMES = 4_096
_QUALITY = 90
_LEAST_MS = 20  # a GIF that says less means "as fast as you can": browsers take 100
_AVI = "video/x-msvideo"
_WEBM = b"\x1a\x45\xdf\xa3"
_CONVERT = "convert it: ffmpeg -i INPUT -an -c:v mjpeg -q:v 3 OUTPUT.avi"


@dataclass(frozen=True)
class VideoPart:
    """A video that is ready to send. `film` are its frames, None where only the server can decode
    them; `timing` is None where not even their number is known, and with it `cost`."""

    data: bytes = field(repr=False)
    media_type: str
    timing: Timing | None
    film: Film | None = field(default=None, repr=False)
    name: str = "video"

    @cached_property
    def cost(self) -> VideoCost | None:
        """The frames that SGLang will look at, and their tokens."""
        t = self.timing
        return video_cost(t.count, t.fps, t.width, t.height) if t else None

    @property
    def tokens(self) -> int | None:
        return self.cost.tokens if self.cost else None

    @property
    def provenance(self) -> Provenance:
        return COUNTED

    @property
    def duration_s(self) -> float | None:
        return self.timing.count / self.timing.fps if self.timing else None

    def to_part(self) -> dict[str, Any]:
        """The content part that SGLang takes, the video inside it."""
        return {"type": "video_url", "video_url": {"url": data_url(self.media_type, self.data)}}

    def frames(self, count: int = 8) -> tuple[ImagePart, ...]:
        """`count` frames from the first to the last, as images: for a server without a decoder.

        Raises InvalidValue where the video cannot be decoded here.
        """
        if self.film is None:
            raise InvalidValue(f"{self.name} can be decoded by the server alone", _CONVERT)
        jpegs = self.film.jpegs
        count = min(max(count, 1), len(jpegs))
        places = [round(i * (len(jpegs) - 1) / max(count - 1, 1)) for i in range(count)]
        return tuple(image(jpegs[place]) for place in places)

    def __str__(self) -> str:
        said = f"{self.name}: {len(self.data) / 1000:,.0f} kB"
        if self.timing is None or self.cost is None:
            return f"{said} · the server decodes it, and tells its tokens afterwards"
        size, cost = by((self.timing.width, self.timing.height)), self.cost
        return (
            f"{said}, {size} pixels, {self.duration_s:g} s · "
            f"{len(cost.frames)} of {self.timing.count} frames, {cost.tokens:,} tokens · "
            f"{self.provenance.kind}"
        )


def video(source: Source | Sequence[Source], fps: float | None = None) -> VideoPart:
    """A video out of a path, bytes, an http(s) URL, or a list of pictures, `fps` a second.

    Raises InvalidValue for what is no video, is damaged or has too many frames; EndpointError
    for a URL that cannot be had.
    """
    if isinstance(source, list | tuple):
        if fps is None:
            raise InvalidValue("a list of pictures has no pace", "say fps=2, or how many a second")
        return _made([load(one).image for one in source], fps, "video")
    if isinstance(film := getattr(source, "film", None), Film):  # the kit's own clip
        return _of_film(film, str(getattr(source, "name", "video")))
    data, name = read(source)
    if data is None:
        raise InvalidValue(f"a {type(source).__name__} is no video", "give a path, bytes or a URL")
    if avi.is_avi(data):
        return _of_avi(data, name)
    if mp4.is_mp4(data):
        return VideoPart(data, "video/mp4", mp4.timing(data), name=name)
    if data[:4] == _WEBM:
        return VideoPart(data, "video/webm", None, name=name)
    moving = open_checked(data, name)
    if getattr(moving, "n_frames", 1) < 2:
        raise InvalidValue(f"{name} is one picture", "send it with kit.vision.image(…)")
    return _made(*_unrolled(moving, name, fps), name)


def _of_avi(data: bytes, name: str) -> VideoPart:
    film = avi.read(data)
    _check_count(len(film.jpegs), name)
    size = open_checked(film.jpegs[0], name).size
    return _of_film(Film(film.jpegs, film.fps, *size), name, data)


def _of_film(film: Film, name: str, data: bytes = b"") -> VideoPart:
    timing = Timing(len(film.jpegs), film.fps, film.width, film.height)
    return VideoPart(data or avi.write(film), _AVI, timing, film, name)


def _made(pictures: Sequence[Any], fps: float, name: str) -> VideoPart:
    _check_count(len(pictures), name)
    size = pictures[0].size
    jpegs = []
    for picture in pictures:
        if picture.size != size:
            raise InvalidValue(
                f"frames of {by(size)} and of {by(picture.size)} pixels", "make them one size"
            )
        out = io.BytesIO()
        picture.save(out, "JPEG", quality=_QUALITY)
        jpegs.append(out.getvalue())
    return _of_film(Film(tuple(jpegs), fps, *size), name)


def _unrolled(moving: Any, name: str, fps: float | None) -> tuple[list[Any], float]:
    """Every frame of an animation, and its pace: by its own clock where none is given."""
    from PIL import ImageSequence

    _check_count(moving.n_frames, name)
    frames, total_ms = [], 0.0
    for frame in ImageSequence.Iterator(moving):
        frame.load()  # WebP tells a frame's time only then
        shown_ms = float(frame.info.get("duration") or 0)
        total_ms += shown_ms if shown_ms >= _LEAST_MS else 100.0
        frames.append(load(frame.copy()).image)
    return frames, fps or len(frames) / (total_ms / 1000)


def _check_count(count: int, name: str) -> None:
    if not 2 <= count <= MOST_FRAMES:
        raise InvalidValue(
            f"{name} has {count:,} frames", f"between 2 and {MOST_FRAMES:,}: cut it, or lower fps"
        )
