"""What a model writes, and what a server says, acts on no terminal."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from scripted import DONE, Scripted, chunk, finish, say, think

from kit.cli import main
from kit.errors import UNSHOWABLE

HOSTILE = {
    "colour": "\x1b[31mred\x1b[0m",
    "title": "\x1b]0;owned\x07",
    "link": "\x1b]8;;http://evil.example\x1b\\here\x1b]8;;\x1b\\",
    "clipboard": "\x1b]52;c;ZWNobyBoaQ==\x07",
    "report": "\x1b[6n\x1b[c\x05",
    "clear": "\x1bc\x1b[2J\x1b[3J",
    "8-bit CSI": "\x9b31m\x90q\x9c\x9d0;x\x9c",
    "bell and backspace": "pay 100\x08\x08\x089\x07",
    "return": "rm -rf /\rls       ",
    "direction": "\u202etxt.exe\u2066a\u2069\u200f\u061c",
    "separators": "a\u2028b\u2029c\x85d\x0b\x0ce",
    "half a character": "\ud83d",
    "split": "\x1b",  # its rest comes in the next piece
}


def inert(text: str) -> None:
    acting = set(UNSHOWABLE.findall(text)) - {"\n", "\t"}
    assert not acting, acting
    text.encode()


@pytest.fixture(scope="module")
def server():
    with Scripted([]) as running:
        yield running


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["text", "json"])
def test_hostile_text_is_shown_and_does_nothing(server, options, capsys) -> None:
    text = "".join(HOSTILE.values())
    call = {"name": f"f{text}", "arguments": json.dumps({"a": text})}
    calls = chunk({"tool_calls": [{"index": 0, "id": "a", "function": call}]})
    pieces = [say(letter) for letter in f"Line\tone\nline two {text}[31m é 🙂\r\n"]
    server.script = [think(text), *pieces, calls, finish(f"odd {text}"), DONE]
    server.headers = {"x-kit-author": f"pocket; \x9b31m{'m' * 20}"}
    assert main(["chat", "--url", server.url, *options, "Hello"]) == 0
    printed = capsys.readouterr()
    inert(printed.out + printed.err)
    if options:
        said = json.loads(printed.out)
        assert said["answer"].startswith("Line\tone\nline two \x1b[31mred")
    else:
        assert "Line\tone\nline two \\x1b[31mred\\x1b[0m" in printed.out
        assert "é 🙂" in printed.out


@pytest.mark.parametrize("status", [200, 400, 401, 404, 429, 500, 503])
def test_an_error_of_a_server_is_two_inert_lines(server, status, capsys) -> None:
    error = {"message": "".join(HOSTILE.values()), "code": status, "type": "\x1b[31m"}
    server.script, server.headers = [{"error": error}], {}
    server.status, server.body = status, None if status == 200 else error
    try:
        assert main(["chat", "--url", server.url, "Hello"]) == 2
    finally:
        server.status, server.body = 200, None
    printed = capsys.readouterr()
    inert(printed.out + printed.err)
    assert len(printed.err.strip().splitlines()) == 2


def test_a_terminal_that_knows_few_letters_gets_escapes(server, monkeypatch) -> None:
    server.script = [say("Grüße, 日本 🙂"), finish(), DONE]
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", out)
    assert main(["chat", "--url", server.url, "Hello"]) == 0
    out.flush()
    assert b"Gr\\xfc\\xdfe, \\u65e5\\u672c \\U0001f642" in out.buffer.getvalue()


def test_a_question_with_half_a_character_is_refused_in_two_lines(server, capsys) -> None:
    assert main(["chat", "--url", server.url, "Hello \udcff"]) == 2
    what, hint = capsys.readouterr().err.strip().splitlines()
    assert "half of a character" in what
    assert hint.startswith("→ ")


def test_an_answer_can_be_kept_in_a_file(server, tmp_path: Path, capsys) -> None:
    server.script = [say("a\ud83d"), finish(), DONE]
    assert main(["chat", "--url", server.url, "--json", "Hello"]) == 0
    (tmp_path / "answer.json").write_text(capsys.readouterr().out, encoding="utf-8")
    assert json.loads((tmp_path / "answer.json").read_bytes())["answer"] == "a\ufffd"
