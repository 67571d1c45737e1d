"""The field for a server's log: it says what `kit diagnose` says, and what is pasted stays text."""

from kit.course.sample_logs import recorded, recordings
from kit.server.failures import examine
from kit.server.log_text import numbered
from kit.views import diagnose_log


def test_it_says_what_the_command_says_of_every_recording():
    for one in recordings().values():
        said = diagnose_log(one.text).bundle()["text/plain"]
        assert said == str(examine(numbered([one.text])))


def test_another_log_gives_another_answer():
    field = diagnose_log(recorded("flag-gone").text)
    before = field.bundle()["text/plain"]
    field.set(recorded("init-oom-states").text)
    assert "raise --mem-fraction-static" in field.bundle()["text/plain"]
    assert field.bundle()["text/plain"] != before


def test_without_a_log_it_asks_for_one():
    assert "paste one" in diagnose_log().bundle()["text/plain"]
    assert diagnose_log("  \n").diagnosis is None


def test_what_is_pasted_is_never_markup():
    html = diagnose_log("RuntimeError: <img src=x onerror=alert(1)>").bundle()["text/html"]
    assert "<img" not in html
    assert "&lt;img" in html


def test_a_saved_page_is_read_as_its_text():
    page = f"<html><body><pre>{recorded('port-taken').text}</pre></body></html>"
    assert diagnose_log(page).bundle()["text/plain"].count("most likely") == 1


def test_what_is_no_text_is_an_error_of_two_lines():
    field = diagnose_log("%PDF-1.7 …")
    assert field.problem is not None
    assert "→" in field.bundle()["text/plain"]


def test_every_control_has_a_label():
    field, button = diagnose_log().controls().children
    assert field.description == "The server's log"
    assert button.description == "Read the log"


def test_the_button_reads_what_the_field_holds():
    view = diagnose_log()
    field, button = view.controls().children
    field.value = recorded("flag-gone").text
    button.click()
    assert view.diagnosis is not None
    assert "--mamba-scheduler-strategy" in view.diagnosis.findings[0].line
