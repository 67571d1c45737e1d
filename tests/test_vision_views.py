"""The upload field and the table of prices, without a browser; with one: tests/browser."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

import pytest
from PIL import Image

from kit.course import drawings
from kit.errors import UnknownName
from kit.models.image_tokens import DELIMITERS, image_tokens
from kit.provenance import Kind
from kit.views import image_costs, tips, upload
from kit.views.figures.tables import PICTURE_SIZES
from kit.views.widgets.upload import CAPS, Upload
from kit.vision import image


def file(name: str, size: tuple[int, int] = (1600, 1200)) -> dict[str, Any]:
    """What ipywidgets' FileUpload holds."""
    out = io.BytesIO()
    Image.new("RGB", size, "teal").save(out, "JPEG")
    data = out.getvalue()
    about = {"type": "image/jpeg", "size": len(data), "last_modified": datetime.now(UTC)}
    return {"name": name, "content": memoryview(data), **about}


def shown(field: Upload) -> str:
    return field.bundle()["text/plain"]


def test_the_table_has_every_size_and_its_price() -> None:
    table = image_costs()
    assert table.provenance.kind is Kind.COMPUTED
    for (name, size), row in zip(PICTURE_SIZES.items(), table.rows, strict=False):
        assert row[0] == name
        assert row[3] == f"{image_tokens(*size) + DELIMITERS:,}"
    assert any("video" in row[0] for row in table.rows)


def test_what_it_holds_at_first_has_a_price() -> None:
    field = upload(drawings.chart())
    assert "chart: 1,280 × 720 pixels" in shown(field)
    assert "880 + 2 tokens · computed" in shown(field)
    assert field.tokens == 882


def test_a_file_is_weighed_under_its_own_name_and_the_cap_is_kept() -> None:
    field = upload(drawings.chart())
    field.set(files=(file("me.jpg"),))
    assert "me.jpg: 1,600 × 1,200 pixels" in shown(field)
    assert "chart" not in shown(field)
    field.set(max_pixels=CAPS["360p"])
    assert field.parts[0].tokens <= 225
    field.set(files=(file("a.jpg"), file("b.jpg")))
    assert [part.name for part in field.parts] == ["a.jpg", "b.jpg"]
    assert all(part.tokens <= 225 for part in field.parts)
    assert f"together {field.tokens:,} tokens" in shown(field)


def test_a_file_that_is_no_picture_is_named_and_the_others_stay() -> None:
    field = upload()
    assert "nothing would be sent" in shown(field)
    field.set(files=({"name": "words.png", "content": memoryview(b"hello")}, file("me.jpg")))
    assert "words.png is text, not a picture" in shown(field)
    assert [part.name for part in field.parts] == ["me.jpg"]
    field.set(files=(file("me.jpg"),))
    assert field.problem is None


def test_a_change_of_a_control_is_a_change_of_the_price() -> None:
    field = upload(drawings.chart())
    files, cap = field.controls().children
    assert (files.description, cap.description) == ("Choose pictures", "the model sees at most")
    cap.value = "the least there is"
    assert field.parts[0].tokens < 100
    files.value = (file("me.jpg"),)
    assert field.parts[0].name == "me.jpg"
    cap.value = "as it is"
    assert cap.index == 0
    assert field.max_pixels is None


def test_the_cap_that_the_field_began_with_is_the_one_it_shows() -> None:
    for cap, label in ((None, "as it is"), (640 * 360, "360p"), (100_000, "100,000 pixels")):
        assert upload(max_pixels=cap).controls().children[1].value == label


def test_a_hostile_name_stays_text() -> None:
    field = upload()
    field.set(files=(file('<img src=x onerror="alert(1)">.jpg'),))
    html = field.bundle()["text/html"]
    assert "<img src=x" not in html
    assert "&lt;img src=x" in html


def test_parts_of_the_field_are_what_a_message_takes() -> None:
    field = upload(drawings.receipt(), max_pixels=100_000)
    assert field.parts == (image(drawings.receipt(), 100_000),)


def test_tips_about_vision_are_some_of_all() -> None:
    rows = tips("vision").rows
    assert len(rows) == 3
    assert set(rows) < set(tips().rows)
    with pytest.raises(UnknownName):
        tips("smell")
