"""The lessons in a folder of the reader's own: what was changed there stays."""

import json
import re
import subprocess

import pytest

from kit.course.copies import RECORD, lay_out, own_folder, reset
from kit.course.lessons import NOTEBOOKS
from kit.course.pictures import without_pictures
from kit.errors import LessonError, UnknownName


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


def test_a_lesson_is_put_back_and_the_readers_copies_stay_beside(copy, source, tmp_path):
    mine, said = tmp_path / "mine", []
    for number, answer in (("", "my answer"), ("2", "another")):
        (mine / "00_a.ipynb").write_text(answer)
        reset("0", mine, said.append, source)
        assert (mine / "00_a.ipynb").read_bytes() == (source / "00_a.ipynb").read_bytes()
        assert (mine / f"00_a.mine{number}.ipynb").read_text() == answer
    reset("00", mine, said.append, source)  # nothing was changed: nothing is kept
    assert len(list(mine.glob("*.mine*"))) == 2
    assert copy() == []  # and it follows the next update again
    (source / "00_a.ipynb").write_text("second")
    copy()
    assert (mine / "00_a.ipynb").read_text() == "second"
    with pytest.raises(UnknownName, match="no lesson called '77'"):
        reset("77", mine, said.append, source)


def test_a_lesson_that_is_missing_is_put_back(source, tmp_path):
    reset("01", tmp_path / "new", lambda _: None, source)
    assert set(files(tmp_path / "new")) == {"01_b.ipynb"}


def test_all_that_a_lesson_links_to_lies_in_the_copy(tmp_path):
    mine = tmp_path / "mine"
    lay_out(NOTEBOOKS, mine, lambda _: None)
    linked = set()
    for page in [*mine.glob("*.ipynb"), *mine.glob("*.md")]:
        text = page.read_text(encoding="utf-8")
        linked |= set(re.findall(r"\]\(([^)#:\s]+)[^)]*\)", text))
    linked -= {name for name in linked if name.startswith("attachment") or "{" in name}
    assert len(linked) > 10
    assert [name for name in linked if not (mine / name).exists()] == []


def test_working_leaves_git_clean(tmp_path):
    """In a clone the lessons open in work/, which git ignores; nothing else is written."""
    git = ["git", "-C", str(NOTEBOOKS.parent)]
    if subprocess.run([*git, "rev-parse"], capture_output=True, check=False).returncode:
        pytest.skip("not in a clone")
    assert own_folder() == NOTEBOOKS.parent / "work"
    ignored = subprocess.run(
        [*git, "check-ignore", "work/00_start_here.ipynb", f"work/{RECORD}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert len(ignored.stdout.split()) == 2


def test_a_file_in_place_of_the_folder_is_refused(source, tmp_path):
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(LessonError, match="taken is a file"):
        lay_out(source, tmp_path / "taken", lambda _: None)
