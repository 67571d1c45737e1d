"""A video → a `video_url` part for a server that decodes it, or its frames for one that does not.

SGLang decodes videos itself (torchcodec or decord, FFmpeg behind both). What Pillow can open (an
animated GIF, WebP or PNG), a list of pictures and Motion JPEG become, or stay, Motion JPEG in an
AVI file. MP4, MOV and WebM are sent as they are; to decode those here would take a library whose
wheels bundle codecs under the GPL.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from kit.errors import InvalidValue
from kit.models.image_tokens import VideoCost, video_cost
from kit.provenance import Provenance, computed
from kit.vision import avi, mp4
from kit.vision.avi import Film
from kit.vision.image_part import ImagePart, by, data_url, image
from kit.vision.load_image import Source, load, open_checked, read
from kit.vision.mp4 import Timing

if TYPE_CHECKING:
    from PIL import Image

COUNTED = computed("how SGLang 0.5.23 picks frames, and Qwen's video processor sizes them")
MOST_FRAMES = 4_096
MOST_PIXELS = 2_000_000_000  # of all frames together
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
        head = f"{self.name}: {len(self.data) / 1000:,.0f} kB"
        if self.timing is None or self.cost is None:
            return f"{head} · the server decodes it, and tells its tokens afterwards"
        size, cost = by((self.timing.width, self.timing.height)), self.cost
        return (
            f"{head}, {size} pixels, {self.duration_s:g} s · "
            f"{len(cost.frames)} of {self.timing.count} frames, {cost.tokens:,} tokens · "
            f"{self.provenance.kind}"
        )


def video(source: Source | Sequence[Source], fps: float | None = None) -> VideoPart:
    """A video out of a path, bytes, an http(s) URL, or a list of pictures, `fps` per second.

    Raises InvalidValue for what is no video, is damaged or has too many frames; EndpointError
    for a URL that cannot be fetched.
    """
    if fps is not None and not 0 < fps < 1000:
        raise InvalidValue(f"{fps:g} frames per second", "give more than 0, and less than 1,000")
    if isinstance(source, list | tuple):
        if fps is None:
            raise InvalidValue(
                "a list of pictures has no pace", "say fps=2, or how many per second"
            )
        _check_count(len(source), "this list")
        return _of_film(_filmed((load(one).image for one in source), fps), "video")
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
    from PIL import ImageSequence

    moving = open_checked(data, name)
    count = int(getattr(moving, "n_frames", 1))
    if count < 2:
        raise InvalidValue(f"{name} is one picture", "send it with kit.vision.image(…)")
    _check_count(count, name, moving.width * moving.height)
    frames = (load(frame.copy()).image for frame in ImageSequence.Iterator(moving))
    return _of_film(_filmed(frames, fps or count / _seconds(moving)), name)


def _of_avi(data: bytes, name: str) -> VideoPart:
    film = avi.read(data)
    _check_count(len(film.jpegs), name)
    size = open_checked(film.jpegs[0], name).size
    return _of_film(Film(film.jpegs, film.fps, *size), name, data)


def _of_film(film: Film, name: str, data: bytes = b"") -> VideoPart:
    timing = Timing(len(film.jpegs), film.fps, film.width, film.height)
    return VideoPart(data or avi.write(film), _AVI, timing, film, name)


def _filmed(pictures: Iterable[Image.Image], fps: float) -> Film:
    """Each as a JPEG, one after the other: of a long animation no more than one is unpacked."""
    jpegs: list[bytes] = []
    size: tuple[int, int] | None = None
    for picture in pictures:
        size = size or picture.size
        if picture.size != size:
            raise InvalidValue(
                f"frames of {by(size)} and of {by(picture.size)} pixels", "make them one size"
            )
        out = io.BytesIO()
        picture.save(out, "JPEG", quality=_QUALITY)
        jpegs.append(out.getvalue())
    return Film(tuple(jpegs), fps, *(size or (0, 0)))


def _seconds(moving: Image.Image) -> float:
    """How long an animation takes by its own clock."""
    from PIL import ImageSequence

    total_ms = 0.0
    for frame in ImageSequence.Iterator(moving):
        frame.load()  # a WebP frame has its duration only then
        shown_ms = float(frame.info.get("duration") or 0)
        total_ms += shown_ms if shown_ms >= _LEAST_MS else 100.0
    return total_ms / 1000


def _check_count(count: int, name: str, pixels: int = 1) -> None:
    if not 2 <= count <= MOST_FRAMES:
        raise InvalidValue(
            f"{name} has {count:,} frames", f"between 2 and {MOST_FRAMES:,}: cut it, or lower fps"
        )
    if count * pixels > MOST_PIXELS:
        raise InvalidValue(
            f"{name} unpacks to {count * pixels / 1e6:,.0f} million pixels",
            f"{MOST_PIXELS / 1e6:,.0f} million at most: shrink it, or cut it",
        )
