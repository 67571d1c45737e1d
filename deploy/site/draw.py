"""Plotly figures as PNG: one chromium for all of them, plotly's own script, no request."""

from __future__ import annotations

import hashlib
import html
import io
import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import plotly

PLOTLY_MIME = "application/vnd.plotly.v1+json"
PLOTLY_JS = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
WIDTH = 940
_DRAW = """async ({data, layout, width}) => {
  const div = document.body.appendChild(document.createElement("div"));
  const size = {width, height: layout.height ?? 480};
  await Plotly.newPlot(div, data, {...layout, ...size}, {staticPlot: true});
  const url = await Plotly.toImage(div, {format: "png", ...size});
  div.remove();
  return url;
}"""


def chromium() -> str | None:
    """The browser's path; None where there is none."""
    return next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )


def digest(figure: dict[str, Any]) -> str:
    """Of what is drawn: the same figure has the same."""
    drawn = {name: figure[name] for name in ("data", "layout")}
    return hashlib.sha256(json.dumps(drawn, sort_keys=True).encode()).hexdigest()[:16]


def pngs(figures: Sequence[dict[str, Any]], width: int = WIDTH) -> list[bytes]:
    """A PNG of 256 colours for each figure (plotly's JSON), `width` pixels wide."""
    from playwright.sync_api import sync_playwright

    if not figures:
        return []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium(),
            args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
        )
        page = browser.new_page()
        page.add_script_tag(path=PLOTLY_JS)
        drawn = [
            _small(page.evaluate(_DRAW, {"data": f["data"], "layout": f["layout"], "width": width}))
            for f in figures
        ]
        browser.close()
    return drawn


def _small(url: str) -> bytes:
    import base64

    from PIL import Image

    picture = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB")
    out = io.BytesIO()
    picture.quantize(256, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
    return out.getvalue()


def words(figure: dict[str, Any]) -> str:
    """What a figure is and what its numbers are worth, in a line: its text where it is not seen."""
    layout = figure["layout"]
    title = layout.get("title", {})
    known = layout.get("meta", {}).get("provenance", {})
    worth = " · ".join(filter(None, [known.get("kind"), known.get("source")]))
    parts = [title.get("text", ""), title.get("subtitle", {}).get("text", ""), worth]
    plain = ". ".join(html.unescape(re.sub(r"<[^>]*>", " ", part)) for part in parts if part)
    return " ".join(plain.split())
