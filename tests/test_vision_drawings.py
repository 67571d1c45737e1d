"""What the kit draws holds what its data says; and is known again, however it was sent."""

from __future__ import annotations

import io
import json
import re
from html import escape

import pytest
from PIL import Image

from kit.course import drawings
from kit.course.drawings import Drawing, recognise
from kit.course.drawings.stills import _BOTTOM, _LEFT, _TOP
from kit.errors import InvalidValue
from kit.models.image_tokens import MIN_PIXELS
from kit.twin.authored import replies
from kit.vision import ImagePart, image

DRAWN = {
    "geometry": drawings.geometry,
    "geometry-3": lambda: drawings.geometry(3),
    "chart": drawings.chart,
    "receipt": drawings.receipt,
    "letter": drawings.letter,
}


def opened(part: ImagePart) -> Image.Image:
    return Image.open(io.BytesIO(part.data)).convert("RGB")


def bar_heights(drawing: Drawing) -> list[float]:
    """The height of every bar, measured in the picture: runs of blue along the foot, then up."""
    picture, foot = drawing.picture, _BOTTOM - 4
    blue = [
        picture.getpixel((x, foot))[2] > 120 > picture.getpixel((x, foot))[0]
        for x in range(_LEFT + 1, picture.width)
    ]
    middles, start = [], None
    for x, inside in enumerate(blue, _LEFT + 1):
        if inside and start is None:
            start = x
        if not inside and start is not None:
            middles.append((start + x) // 2)
            start = None
    tops = []
    for x in middles:
        y = foot
        while picture.getpixel((x, y))[0] < 120:
            y -= 1
        tops.append(_BOTTOM - y - 1)
    return tops


def test_the_bars_are_as_high_as_their_values() -> None:
    drawing = drawings.chart()
    heights = bar_heights(drawing)
    a_unit = (_BOTTOM - _TOP) / 80
    assert len(heights) == len(drawing.data)
    for height, value in zip(heights, drawing.data.values(), strict=True):
        assert height / a_unit == pytest.approx(value, abs=0.4)


def test_a_chart_of_other_values_is_another_picture() -> None:
    other = drawings.chart({"a": 10, "b": 70})
    assert bar_heights(other)[1] > 5 * bar_heights(other)[0]
    assert recognise(other.picture) is None


def test_the_receipt_adds_up() -> None:
    data = drawings.receipt().data
    assert sum(data["items"].values()) == pytest.approx(data["total"])


def test_circles_come_one_by_one_and_the_large_ones_first() -> None:
    sizes = [drawings.geometry(n).data["circles"] for n in range(5)]
    assert [len(one) for one in sizes] == [0, 1, 2, 3, 4]
    assert list(sizes[2].values()) == ["large", "large"]
    with pytest.raises(InvalidValue):
        drawings.geometry(5)


def test_the_lamp_comes_on_when_the_data_says() -> None:
    clip = drawings.clip()
    lit = []
    for jpeg in clip.film.jpegs:
        red, _, blue = Image.open(io.BytesIO(jpeg)).getpixel((374, 48))
        lit.append(red > 180 and blue < 80)
    first = lit.index(True)
    assert first / clip.film.fps == clip.data["lamp_on_s"]
    assert all(lit[first:])


def test_every_drawing_says_in_words_what_it_shows() -> None:
    for make in DRAWN.values():
        drawing = make()
        shown = drawing._repr_mimebundle_()
        assert shown["text/plain"] == drawing.alt
        assert f'alt="{escape(drawing.alt)}"' in shown["text/html"]
        assert len(drawing.alt) > 40
    assert all(day in drawings.chart().alt for day in drawings.chart().data)


# --- known again


@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.parametrize("cap", [None, MIN_PIXELS, 100_000, 150_001, 300_000])
def test_a_drawing_is_known_however_it_is_capped(name: str, cap: int | None) -> None:
    part = image(DRAWN[name](), max_pixels=cap)
    assert recognise(opened(part), part.data) == name


def test_one_pixel_makes_a_stranger() -> None:
    changed = drawings.geometry().picture.copy()
    changed.putpixel((3, 3), (254, 255, 255))
    assert recognise(changed) is None
    assert recognise(Image.new("RGB", changed.size, "white")) is None


def test_a_frame_of_the_clip_is_the_clip_and_a_copy_of_it_is_not() -> None:
    jpeg = drawings.clip().film.jpegs[7]
    picture = Image.open(io.BytesIO(jpeg)).convert("RGB")
    assert recognise(picture, jpeg) == drawings.CLIP
    assert recognise(picture, b"") is None


# --- the authored replies tell what is drawn


def answer(name: str) -> str:
    return replies()[name].answer


def test_every_reply_about_pictures_is_about_drawings_of_the_kit() -> None:
    about = {name: reply.images for name, reply in replies().items() if reply.images}
    assert {drawing for names in about.values() for drawing in names} <= set(drawings.names())
    assert set(drawings.names()) == {drawing for names in about.values() for drawing in names}


def test_the_chart_is_read_right_but_for_the_one_slip_the_lesson_tells_of() -> None:
    said, true = json.loads(answer("see_chart")), drawings.chart().data
    assert list(said) == list(true)
    wrong = {day: said[day] - value for day, value in true.items() if said[day] != value}
    assert wrong == {"Thu": -1}


def test_the_busiest_day_is_the_busiest() -> None:
    data = drawings.chart().data
    best = max(data, key=lambda day: data[day])
    assert {"Fri": "Friday"}[best] in answer("see_busiest")
    assert str(data[best]) in answer("see_busiest")


def test_what_is_described_is_what_is_drawn() -> None:
    data = drawings.chart().data
    said = answer("see_chart_described")
    ordered = sorted(data, key=lambda day: data[day])
    assert (ordered[0], ordered[-1]) == ("Wed", "Fri")
    assert re.search(r"highest\*\* bar is Friday, at about 75", said)
    assert re.search(r"lowest\*\* is Wednesday, just under 30", said)
    bill = drawings.receipt().data
    amounts = [float(x) for x in re.findall(r"\| (\d+\.\d\d) \|", answer("see_receipt_described"))]
    assert amounts == list(bill["items"].values())
    assert f"{bill['total']:.2f}" in answer("see_receipt_described")
    for fact in ("3 November", "seven ships", "eleven days"):
        assert fact in answer("see_letter_described")
        assert fact.split()[0].casefold() in drawings.letter().data["text"].casefold()


def test_receipt_and_page_are_read_right() -> None:
    assert json.loads(answer("see_receipt")) == drawings.receipt().data
    assert answer("see_letter") == drawings.letter().data["text"]


def test_the_corners_are_told_right() -> None:
    told = dict(re.findall(r"^\| ([a-z ]+) \| (large|small) \|$", answer("see_geometry"), re.M))
    assert told == drawings.geometry().data["circles"]
    (missing,) = set(drawings.geometry(4).data["circles"]) - set(
        drawings.geometry(3).data["circles"]
    )
    assert f"small circle at the {missing}" in answer("see_compare")


def test_the_lamp_is_dated_right() -> None:
    data = drawings.clip().data
    said = answer("see_clip")
    assert f"{data['lamp_on_s']} seconds" in said
    assert data["lamp"] in said
    assert f"{data['ball']} ball" in said
    assert data["moves"] in said
