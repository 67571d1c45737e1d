import pytest

from kit.errors import EndpointError, KitError, StreamCut, UnknownName


def test_an_unknown_name_names_the_nearest():
    error = UnknownName("profile", "h200x9", ["h100x16", "h200x8", "b200x8"])
    assert error.what == "no profile called 'h200x9'"
    assert "h200x8" in error.hint


def test_a_name_like_none_lists_them_all():
    assert UnknownName("GPU", "zzz", ["h200", "b200"]).hint == "one of: b200, h200"


def test_an_error_is_two_lines():
    assert str(KitError("it broke", "mend it")).splitlines() == ["it broke", "→ mend it"]


def test_a_cut_stream_keeps_what_arrived_and_is_an_endpoint_error():
    cut = StreamCut("cut", "again", arrived="half an ans")
    assert isinstance(cut, EndpointError)
    assert cut.arrived == "half an ans"


def test_ipython_shows_two_lines_and_no_stack(capsys):
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell()
    shell.run_cell("from kit.errors import KitError\nraise KitError('it broke', 'mend it')")
    shown = capsys.readouterr()
    text = shown.out + shown.err
    assert "it broke" in text
    assert "mend it" in text
    assert "Traceback" not in text


@pytest.mark.parametrize("argv", [["size", "h200x9"], ["command", "nope"], ["run", "99"]])
def test_the_command_line_prints_two_lines_and_ends_2(argv, capsys):
    from kit.cli import main

    assert main(argv) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert len(shown.err.splitlines()) == 2
