"""The lessons' pictures without Pillow: shipped as drawn, sent, recognised and counted alike."""

from __future__ import annotations

import io
import subprocess
import sys

from PIL import Image

from kit import load_data
from kit.course import drawings
from kit.course.drawings import Drawing

STILLS = [drawings.chart(), drawings.receipt(), drawings.letter()]
STILLS += [drawings.geometry(circles) for circles in range(5)]
_WITHOUT = """
import sys
sys.meta_path.insert(0, type("No", (), {"find_spec": lambda self, name, *_: (_ for _ in ()).throw(
    ImportError(name)) if name.partition(".")[0] == "PIL" else None})())
import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name == "PIL" else found(name, *more)
import io, sys
from kit import chat, page, vision
from kit.course import drawings
from kit.endpoint import open_endpoint
from kit.errors import KitError
from kit.twin.inside import start

endpoint = open_endpoint(start("h200x8", 50.0, "0.5.23").url, None, None, "")
for show, ask in [
    ([drawings.geometry()], "How many circles are there?"),
    ([drawings.chart()], "Read the value of every bar. Answer with JSON only."),
    ([drawings.receipt()], "Read this receipt as JSON."),
]:
    parts = [vision.image(one) for one in show]
    stream = chat.stream(endpoint, [vision.message(ask, *parts)], thinking=False)
    list(stream)
    print(parts[0].tokens, len(stream.answer), stream.author)
film = vision.video(drawings.clip())
stream = chat.stream(endpoint, [vision.message("What happens in this video, and when?", film)])
list(stream)
print(film.tokens, len(stream.answer), stream.author)
for wrong in (lambda: drawings.chart({"a": 3}), lambda: vision.image(drawings.chart(), 256 * 256)):
    try:
        wrong()
    except KitError as problem:
        print("needs Pillow" in problem.what)
"""


def _pixels(picture: Image.Image) -> bytes:
    return picture.convert("RGB").tobytes()


def _file(drawing: Drawing, folder: str) -> Image.Image:
    wanted = _pixels(drawing.picture)
    for path in load_data.path(folder).iterdir():
        if path.name.endswith(".png"):
            found = Image.open(io.BytesIO(path.read_bytes()))
            if found.size == drawing.picture.size and _pixels(found) == wanted:
                return found
    raise AssertionError(f"{drawing.name} is not shipped: deploy/lite/draw_pictures.py")


def test_the_shipped_pictures_are_those_that_are_drawn() -> None:
    for drawing in STILLS:
        _file(drawing, "drawings")
    shipped = {
        path.read_bytes()
        for path in load_data.path("drawings").iterdir()
        if path.name.endswith(".jpg")
    }
    frames = drawings.clip().film.jpegs
    assert len(shipped) == len(set(frames))
    sizes = {Image.open(io.BytesIO(frame)).size for frame in shipped}
    assert sizes == {Image.open(io.BytesIO(frames[0])).size}


def test_without_pillow_pictures_are_answered_and_what_needs_it_says_so() -> None:
    said = subprocess.run(
        [sys.executable, "-c", _WITHOUT], capture_output=True, text=True, check=False, timeout=60
    )
    assert said.returncode == 0, said.stderr
    lines = said.stdout.splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["360", "880", "300"]
    assert all("authors of this course" in line for line in lines[:4]), lines
    assert lines[4:] == ["True", "True"]
