"""A field to upload pictures: the price of each stands there before it is sent.

mine = upload()      # choose a file, choose a cap, read the price
mine.parts           # what to send, in the next cell
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from html import escape
from typing import TYPE_CHECKING, Any

from kit.errors import KitError
from kit.views.live import Bundle, ControlledOutput
from kit.views.safe_markdown import html_text
from kit.vision.file_picture import has_pillow
from kit.vision.image_part import COUNTED, ImagePart, data_url, image

if TYPE_CHECKING:
    import ipywidgets

CAPS = {  # what the control offers → pixels
    "as it is": None,
    "1080p": 1920 * 1080,
    "720p": 1280 * 720,
    "360p": 640 * 360,
    "the least there is": 256 * 256,
}
_THUMB = (360, 240)


class Upload(ControlledOutput):
    """Pictures to send, and what they cost. `problem` is the error of a file that is none."""

    def __init__(self, start: Iterable[Any] = (), max_pixels: int | None = None) -> None:
        self._sources = list(start)
        self._names = [str(getattr(source, "name", "picture")) for source in self._sources]
        self.max_pixels = max_pixels
        self.problem: KitError | None = None
        self.parts: tuple[ImagePart, ...] = ()
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
        self.redraw()

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
        # chosen by label: a Dropdown shows nothing where its value is None
        own = self.max_pixels
        caps = CAPS if own in CAPS.values() else {**CAPS, f"{own:,} pixels": own}
        cap = w.Dropdown(
            options=list(caps),
            value=next(label for label, pixels in caps.items() if pixels == own),
            description="the model sees at most",
            **wide,
        )
        files.observe(lambda change: self.set(files=change["new"]), names="value")
        cap.observe(lambda change: self.set(max_pixels=caps[change["new"]]), names="value")
        return w.HBox([files, cap]).add_class("kit-upload")

    def _lines(self) -> list[str]:
        lines = [str(part) for part in self.parts] or ["No picture yet: nothing would be sent."]
        if len(self.parts) > 1:
            lines.append(f"together {self.tokens:,} tokens · {COUNTED.kind}")
        return lines + (str(self.problem).splitlines() if self.problem else [])

    def bundle(self) -> Bundle:
        lines = self._lines()
        pictures = "".join(
            f'<img src="{_thumbnail(part)}" alt="{escape(part.name)}" '
            'style="max-height:160px;margin:4px;border:1px solid #8a96a3">'
            for part in self.parts
        )
        said = "".join(f"<div>{html_text(line)}</div>" for line in lines)
        return {
            "text/html": f'<div class="kit-upload-cost" role="status">{pictures}{said}</div>',
            "text/plain": "\n".join(lines),
        }


def upload(*start: Any, max_pixels: int | None = None) -> Upload:
    """A field for pictures, the price of each under it. `start` are what it holds at first."""
    return Upload(start, max_pixels)


def _thumbnail(part: ImagePart) -> str:
    if not has_pillow():
        return data_url(part.media_type, part.data)
    from PIL import Image

    picture = Image.open(io.BytesIO(part.data)).convert("RGB")
    picture.thumbnail(_THUMB)
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=80)
    return data_url("image/jpeg", out.getvalue())
