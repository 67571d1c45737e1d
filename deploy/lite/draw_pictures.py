"""Writes kit/data/drawings: the lessons' own pictures, for where Pillow is not."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from kit.course import drawings
from kit.course.drawings import canvas
from kit.course.drawings.clip import _QUALITY, SIZE

FOLDER = Path(__file__).parents[2] / "kit" / "data" / "drawings"


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.iterdir():
        old.unlink()
    finished = canvas.Page.finished

    def kept(page: canvas.Page) -> Any:
        picture = finished(page)
        out = io.BytesIO()
        if picture.size == SIZE:
            picture.save(out, "JPEG", quality=_QUALITY)
        else:
            picture.save(out, "PNG")
        ending = "jpg" if picture.size == SIZE else "png"
        (FOLDER / f"{page.digest}.{ending}").write_bytes(out.getvalue())
        return picture

    canvas.Page.finished = kept  # type: ignore[method-assign]
    for circles in range(5):
        drawings.geometry(circles)
    drawings.chart()
    drawings.receipt()
    drawings.letter()
    drawings.clip()


if __name__ == "__main__":
    main()
