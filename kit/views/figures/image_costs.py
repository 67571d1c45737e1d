"""What pictures cost, and a field to upload one: its price stands there before it is sent.

image_costs()
mine = upload()      # choose a file, choose a cap, read the price
mine.parts           # what to send, in the next cell
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any

from kit.errors import KitError
from kit.models import model
from kit.models.image_tokens import DELIMITERS, image_tokens, smart_resize, video_cost
from kit.views.figure import FigureTable
from kit.views.widgets.sliders import _Raw, somebody_is_there
from kit.vision.image_part import COUNTED, ImagePart, by, image

if TYPE_CHECKING:
    import ipywidgets

SIZES = {  # what it is → width and height in pixels
    "photo of a phone, 12 megapixels": (4032, 3024),
    "4K screen": (3840, 2160),
    "1080p": (1920, 1080),
    "720p": (1280, 720),
    "360p": (640, 360),
    "icon": (64, 64),
}
MINUTE = (60 * 30, 30, 1280, 720)  # frames, a second, pixels
CAPS = {  # what the control offers → pixels
    "as it is": None,
    "1080p": 1920 * 1080,
    "720p": 1280 * 720,
    "360p": 640 * 360,
    "the least there is": 256 * 256,
}
_THUMB = (360, 240)


def image_costs() -> FigureTable:
    """Tokens of pictures by size, and of a minute of video; as shares of the context."""
    context = model("397b").max_position_embeddings
    rows = []
    for name, (width, height) in SIZES.items():
        tall, wide = smart_resize(height, width)
        tokens = image_tokens(width, height) + DELIMITERS
        rows.append((name, by((width, height)), by((wide, tall)), f"{tokens:,}"))
    film = video_cost(*MINUTE)
    size = by(MINUTE[2:])
    seen = f"{len(film.frames)} frames of {by((film.width, film.height))}"
    rows.append(("a minute of 720p video", size, seen, f"{film.tokens:,}"))
    shares = (f"{100 * int(row[-1].replace(',', '')) / context:.2f}" for row in rows)
    return FigureTable(
        f"One token is 32 × 32 pixels; {DELIMITERS} more stand around each picture.",
        ("picture", "pixels", "the model sees", "tokens", f"% of {context:,} tokens"),
        tuple((*row, share) for row, share in zip(rows, shares, strict=True)),
        COUNTED,
        folded=False,
    )


class Upload:
    """Pictures to send, and what they cost. `problem` is the error of a file that is none."""

    def __init__(self, start: Iterable[Any] = (), max_pixels: int | None = None) -> None:
        self._sources = list(start)
        self._names = [str(getattr(source, "name", "picture")) for source in self._sources]
        self.max_pixels = max_pixels
        self.problem: KitError | None = None
        self.parts: tuple[ImagePart, ...] = ()
        self._shown: Any = None
        self._weigh()

    @property
    def tokens(self) -> int:
        """What the prompt grows by."""
        return sum(part.prompt_tokens for part in self.parts)

    def set(self, **changes: Any) -> None:
        """Change `files` (as ipywidgets' FileUpload holds them) or `max_pixels`."""
        if "files" in changes:
            files: Iterable[Mapping[str, Any]] = changes["files"]
            pairs = [(str(f["name"]), bytes(f["content"])) for f in files]
            self._names, self._sources = [n for n, _ in pairs], [data for _, data in pairs]
        if "max_pixels" in changes:
            self.max_pixels = changes["max_pixels"]
        self._weigh()
        if self._shown is not None:
            self._shown.update(_Raw(self._bundle()))

    def _weigh(self) -> None:
        self.problem, parts = None, []
        for name, source in zip(self._names, self._sources, strict=True):
            try:
                parts.append(image(source, self.max_pixels, name))
            except KitError as error:
                self.problem = error
        self.parts = tuple(parts)

    def controls(self) -> ipywidgets.Box:
        """The controls, a label on each. Changing one calls `set`."""
        import ipywidgets as w

        wide = {"style": {"description_width": "initial"}, "layout": {"width": "320px"}}
        files = w.FileUpload(
            accept="image/*", multiple=True, description="Choose pictures", layout=wide["layout"]
        )
        cap = w.Dropdown(
            options=list(CAPS.items()),
            value=self.max_pixels if self.max_pixels in CAPS.values() else None,
            description="the model sees at most",
            **wide,
        )
        files.observe(partial(self._changed, "files"), names="value")
        cap.observe(partial(self._changed, "max_pixels"), names="value")
        return w.HBox([files, cap]).add_class("kit-upload")

    def _changed(self, name: str, change: Mapping[str, Any]) -> None:
        self.set(**{name: change["new"]})

    def _lines(self) -> list[str]:
        lines = [str(part) for part in self.parts] or ["No picture yet: nothing would be sent."]
        if len(self.parts) > 1:
            lines.append(f"together {self.tokens:,} tokens · {COUNTED.kind}")
        return lines + (str(self.problem).splitlines() if self.problem else [])

    def _bundle(self) -> dict[str, str]:
        lines = self._lines()
        pictures = "".join(
            f'<img src="{_thumbnail(part)}" alt="{escape(part.name)}" '
            'style="max-height:160px;margin:4px;border:1px solid #8a96a3">'
            for part in self.parts
        )
        said = "".join(f"<div>{escape(line)}</div>" for line in lines)
        return {
            "text/html": f'<div class="kit-upload-cost" role="status">{pictures}{said}</div>',
            "text/plain": "\n".join(lines),
        }

    def _ipython_display_(self) -> None:
        from IPython.display import display

        if somebody_is_there():
            display(self.controls())
        self._shown = display(_Raw(self._bundle()), display_id=True)


def upload(*start: Any, max_pixels: int | None = None) -> Upload:
    """A field for pictures, the price of each under it. `start` are what it holds at first."""
    return Upload(start, max_pixels)


def _thumbnail(part: ImagePart) -> str:
    from PIL import Image

    picture = Image.open(io.BytesIO(part.data)).convert("RGB")
    picture.thumbnail(_THUMB)
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode()}"
