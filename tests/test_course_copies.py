"""The lessons in a folder of the reader's own: what was changed there stays."""

import json

import pytest

from kit.course.copies import RECORD, lay_out
from kit.course.lessons import NOTEBOOKS
from kit.course.pictures import without_pictures
from kit.errors import LessonError


@pytest.fixture
def source(tmp_path):
    (tmp_path / "ours" / "images").mkdir(parents=True)
    (tmp_path / "ours" / "00_a.ipynb").write_text("first")
    (tmp_path / "ours" / "01_b.ipynb").write_text("other")
    (tmp_path / "ours" / "images" / "a.png").write_bytes(b"\x89PNG\0")
    return tmp_path / "ours"


@pytest.fixture
def copy(source, tmp_path):
    def again():
        said = []
        lay_out(source, tmp_path / "mine", said.append)
        return said[:-1]

    again()
    return again


def files(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != RECORD
    }


def test_every_lesson_and_picture_is_copied_as_it_is_without_answers_and_drawn_figures(tmp_path):
    lay_out(NOTEBOOKS, tmp_path / "mine", lambda _: None)
    left = (".ipynb_checkpoints", "solutions/")
    shipped = {
        name: without_pictures(data)
        for name, data in files(NOTEBOOKS).items()
        if not any(part in name for part in left)
    }
    assert files(tmp_path / "mine") == shipped


def test_a_second_time_changes_and_says_nothing(copy, source, tmp_path):
    before = files(tmp_path / "mine")
    assert copy() == []
    assert files(tmp_path / "mine") == before == files(source)


def test_a_changed_file_stays_and_a_newer_version_is_laid_beside_it_once(copy, source, tmp_path):
    mine = tmp_path / "mine" / "00_a.ipynb"
    mine.write_text("my answer")
    assert copy() == []  # there is no newer version
    (source / "00_a.ipynb").write_text("second")
    (said,) = copy()
    assert "00_a.new.ipynb" in said
    assert mine.read_text() == "my answer"
    assert (tmp_path / "mine" / "00_a.new.ipynb").read_text() == "second"
    assert copy() == []
    (source / "00_a.ipynb").write_text("third")
    copy()
    assert (tmp_path / "mine" / "00_a.new.ipynb").read_text() == "second"
    assert (tmp_path / "mine" / "00_a.new2.ipynb").read_text() == "third"


def test_an_unchanged_file_is_replaced_by_its_newer_version(copy, source, tmp_path):
    (source / "01_b.ipynb").write_text("newer")
    assert copy() == []
    assert files(tmp_path / "mine") == files(source)


def test_a_lesson_removed_by_the_reader_is_copied_again(copy, source, tmp_path):
    (tmp_path / "mine" / "01_b.ipynb").unlink()
    copy()
    assert files(tmp_path / "mine") == files(source)


@pytest.mark.parametrize("record", ["", "{", "[]", "no text \ud800"])
def test_with_a_broken_record_nothing_of_the_readers_is_lost(copy, tmp_path, record):
    mine = tmp_path / "mine"
    (mine / "00_a.ipynb").write_text("my answer")
    (mine / RECORD).write_bytes(record.encode("utf-8", "surrogatepass"))
    copy()
    assert (mine / "00_a.ipynb").read_text() == "my answer"
    assert (mine / "00_a.new.ipynb").read_text() == "first"
    assert set(json.loads((mine / RECORD).read_text())) >= {"00_a.ipynb", "01_b.ipynb"}


def test_a_file_in_place_of_the_folder_is_refused(source, tmp_path):
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(LessonError, match="taken is a file"):
        lay_out(source, tmp_path / "taken", lambda _: None)
