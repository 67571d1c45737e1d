"""Evaluations: files, answers read out of texts, results that go on where they were."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from servers import Handler, Server

import kit
from kit import evals
from kit.cli import main
from kit.errors import KitError
from kit.evals import Settings, extract
from kit.evals.problems import Problem
from kit.evals.run import judge

GSM8K = [
    {"question": f"Ann has {n} eggs and finds 2. How many?", "answer": f"{n}+2\n#### {n + 2}"}
    for n in range(3, 23)
]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "own.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in GSM8K))
    return path


class Adder(Handler):
    """A model that adds, and is wrong for every fifth question; after `dies_after` it is gone."""

    protocol_version = "HTTP/1.0"
    asked: ClassVar[list[int]] = []
    dies_after = 10**9

    def do_GET(self) -> None:
        self.reply({"data": [{"id": "adder"}]} if self.path.endswith("models") else {})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if len(Adder.asked) >= Adder.dies_after:
            self.connection.close()
            return
        asked = body["messages"][-1]["content"].rpartition("Question:")[2]
        n = int(asked.split("has ")[1].split()[0])
        Adder.asked.append(n)
        text = f"That is {n + 2 if n % 5 else n + 3}."
        if not body.get("stream"):
            message = {"role": "assistant", "content": text}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            usage = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
            self.reply(
                {"id": "a", "object": "chat.completion", "choices": [choice], "usage": usage}
            )
            return
        finish = {"index": 0, "delta": {}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
        events = [
            {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]},
            {"choices": [finish]},
            {"choices": [], "usage": usage},
        ]
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        for event in events:
            self.wfile.write(b"data: " + json.dumps(event).encode() + b"\n\n")
        self.wfile.write(b"data: [DONE]\n\n")


@pytest.fixture
def adder() -> Iterator[str]:
    Adder.asked, Adder.dies_after = [], 10**9
    with Server(Adder) as server:
        yield server.url


def test_the_published_runs_are_what_their_lines_say() -> None:
    gsm8k, mmmu = evals.published("gsm8k"), evals.published("mmmu")
    assert (gsm8k.right, gsm8k.asked, gsm8k.invalid) == (195, 200, 1)
    assert gsm8k.tokens_per_answer == pytest.approx(158.6, abs=0.1)
    assert (mmmu.right, mmmu.asked) == (89, 91)
    subjects = [row for row in mmmu.rows if row.kind == "subject"]
    for row in mmmu.rows:
        if row.kind == "group":
            of = [one for one in subjects if one.group == row.name]
            assert (row.asked, row.right) == (sum(o.asked for o in of), sum(o.right for o in of))
    assert sum(row.asked for row in subjects) == 91
    assert sum(row.right for row in subjects) == 89


@pytest.mark.parametrize(
    ("text", "integer", "number"),
    [
        ("He pays $1,234.", 1234, 1234),
        ("**15% of 230 is 34.5.**", 5, 34.5),
        ("so -3", 3, -3),
        ("no number", None, None),
        ("agent 007", None, 7),
        (r"first 7, then \boxed{36}, that is 36 of 100", 100, 36),
        (r"\boxed{\frac{1}{2}} or 12", 12, 2),
        ("in 2026. The answer is 18", 18, 18),
    ],
)
def test_numbers_are_read_as_the_scripts_read_them(
    text: str, integer: int | None, number: float | None
) -> None:
    assert extract.last_integer(text) == integer
    found = extract.number(text)
    assert (None if found is None else float(found)) == number


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("It is clear.\nAnswer: B", "B"),
        ("Answer: (C)", "C"),
        ("Answer: A, or rather\nanswer: **B**", "B"),
        ("the one in brackets (A)", "A"),
        ("I would say that it must be the blue one", "B"),
        ("none of these", None),
        ("", None),
    ],
)
def test_letters_are_read_by_the_last_answer(text: str, letter: str | None) -> None:
    assert extract.letter(text, ("red", "blue", "green")) == letter


@pytest.mark.parametrize(
    ("said", "right"), [("The result is 3.50", True), ("It is so: 3.5.", True), ("4", False)]
)
def test_open_answers_are_compared_after_rounding(said: str, right: bool) -> None:
    problem = Problem("a", "?", "3.5", "open")
    assert judge(problem, said)[1] is right


def test_generated_problems_have_their_answers_in_their_working() -> None:
    problems = evals.word_problems.generated(80, seed=3)
    assert len({one.question for one in problems.problems}) == 80
    for one in problems.problems:
        assert extract.last_integer(one.worked) == int(one.answer)
    assert problems.digest == evals.word_problems.generated(80, seed=3).digest
    assert "GSM8K" not in problems.name.upper()


def test_an_evaluation_that_was_cut_off_goes_on_without_loss(
    data: Path, adder: str, tmp_path: Path
) -> None:
    endpoint = kit.connect(adder, quiet=True)
    problems = evals.gsm8k.read(data, shots=0)
    out = tmp_path / "run.jsonl"
    settings = Settings(concurrency=2)
    kept: set[str] = set()
    for dies_after in (6, 13, 10**9):
        Adder.asked, Adder.dies_after = [], dies_after - len(kept)
        if dies_after < 20:
            with pytest.raises(KitError, match="stopped answering"):
                asyncio.run(evals.run(endpoint, problems, settings, out=out))
        else:
            report = asyncio.run(evals.run(endpoint, problems, settings, out=out))
        assert not kept & {str(n + 2) for n in Adder.asked}  # what is written is not asked again
        kept = {one.answer for one in evals.read_report(out).answers}
        assert len(kept) >= min(dies_after, 20) - 2  # but for those under way at the end
        with out.open("ab") as file:
            file.write(b'{"id": "half a li')
    assert (report.score.asked, report.score.right, report.score.invalid) == (20, 16, 0)
    assert evals.read_report(out).score == report.score
    assert report.to_json()["provenance"]["kind"] == "measured"


def test_a_result_of_other_questions_is_not_gone_on_with(
    data: Path, adder: str, tmp_path: Path
) -> None:
    endpoint, out = kit.connect(adder, quiet=True), tmp_path / "run.jsonl"
    problems = evals.gsm8k.read(data, shots=0)
    asyncio.run(evals.run(endpoint, problems.first(2), out=out))
    with pytest.raises(KitError, match="another run"):
        asyncio.run(evals.run(endpoint, problems.first(3), out=out))


def test_two_runs_are_paired_by_problem(data: Path, adder: str, tmp_path: Path) -> None:
    endpoint = kit.connect(adder, quiet=True)
    report = asyncio.run(evals.run(endpoint, evals.gsm8k.read(data, shots=0)))
    same = evals.compare(report, report)
    assert (same.only_a, same.only_b, same.p, same.differs) == (0, 0, 1.0, False)


def test_a_twin_has_no_accuracy() -> None:
    with pytest.raises(KitError, match="authored"):
        asyncio.run(evals.run(kit.connect("twin", quiet=True), evals.word_problems.generated(4)))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no problem"),
        (b'{"question": "a"', "line 1: no JSON"),
        (b'{"prompt": "a", "target": "b"}\n', "not GSM8K's format"),
        (b'{"question": "a", "answer": "many"}\n', "no number"),
        (b"[1]\n", "not an object"),
        (b"\xff\xfe\x00", "no JSON"),
        (b"[" * 100_000, "no JSON"),
    ],
)
def test_a_file_that_is_not_gsm8k_is_two_lines(
    content: bytes, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "odd.jsonl"
    path.write_bytes(content)
    with pytest.raises(KitError, match=says) as caught:
        evals.gsm8k.read(path)
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize(
    "line",
    [
        ["eval", "gsm8k", "--limit", "0", "--data", "OWN", "--url", "URL"],
        ["eval", "gsm8k", "--data", "/nowhere.jsonl", "--url", "URL"],
        ["eval", "compare", "OWN"],
        ["eval", "compare", "OWN", "OWN"],
        ["eval", "mmmu", "--url", "URL"],
        ["eval", "gsm8k", "--data", "OWN", "--url", "URL", "--concurrency", "0"],
    ],
)
def test_what_cannot_be_evaluated_is_two_lines(
    line: list[str], data: Path, adder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = [{"OWN": str(data), "URL": adder}.get(word, word) for word in line]
    assert main(argv) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 2
    assert "Traceback" not in said


def test_the_command_prints_score_interval_and_n(
    data: Path, adder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "o.jsonl")
    line = ["eval", "gsm8k", "--data", str(data), "--url", adder, "--out", out, "--shots", "0"]
    assert main(line) == 0
    said = capsys.readouterr().out
    assert "Accuracy: 0.800" in said
    assert "n 20" in said
    assert "GSM8K's format" in said
    assert "measured" in said


def test_mmmus_rows_are_read_whichever_way_they_were_exported(tmp_path: Path) -> None:
    rows = [
        {"id": "validation_Art_Theory_3", "question": "Which?", "options": "['red', 'blue']",
         "answer": "B", "image_1": {"bytes": "aGk=", "path": "x.png"}},
        {"id": "validation_Math_1", "question": "How much?", "options": [], "answer": "3.5",
         "image_1": "data:image/png;base64,aGk="},
    ]  # fmt: skip
    path = tmp_path / "mmmu.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    first, second = evals.mmmu.read(path).problems
    assert (first.group, first.kind, first.options) == ("Art_Theory", "choice", ("red", "blue"))
    assert first.images == ("data:image/png;base64,aGk=",)
    assert (second.group, second.kind) == ("Math", "open")
    assert "A. red\nB. blue\n" in evals.mmmu.prompt(first)


def test_a_result_of_sgl_eval_is_read_and_compared(tmp_path: Path) -> None:
    rows = [
        {"id": str(n), "expected_answer": "36", "generation": "\\boxed{36}", "problem": "?",
         "predicted_answer": "36" if n else None, "symbolic_correct": bool(n),
         "num_generated_tokens": 9, "finish_reason": "stop",
         "generation_start_time": 1000.0 + n, "generation_end_time": 1001.0 + n}
        for n in range(5)
    ]  # fmt: skip
    path = tmp_path / "output-rs0.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    report = evals.read_report(path)
    assert (report.score.right, report.score.asked, report.score.invalid) == (4, 5, 1)
    assert report.output_throughput == pytest.approx(9)
    assert evals.compare(report, report).p == 1.0


def test_a_data_file_of_sgl_eval_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    path.write_text('{"id": "a", "problem": "What is 20 + 16?", "expected_answer": 36}\n')
    (problem,) = evals.gsm8k.read(path, shots=0).problems
    assert (problem.question, problem.answer) == ("What is 20 + 16?", "36")


def test_recorded_answers_are_judged_the_same_today() -> None:
    of = {one.id: one for one in evals.word_problems.generated(200).problems}
    for name in ("pocket-instruct", "pocket-thinking"):
        report = evals.recorded(name)
        assert len(report.answers) == 200
        for one in report.answers:
            assert judge(of[one.id], one.text) == (one.predicted, one.right)


@pytest.mark.skipif(
    evals.sgl_eval.installed() is None,
    reason="sgl-eval wants 560 MB of its own: SGL_EVAL=/path/to/sgl-eval",
)
def test_sgl_eval_asks_the_same_problems(data: Path, adder: str) -> None:
    problems = evals.gsm8k.read(data, shots=0).first(5)
    report = asyncio.run(
        evals.sgl_eval.run(kit.connect(adder, quiet=True), problems, Settings(concurrency=2))
    )
    assert [one.id for one in report.answers] == [one.id for one in problems.problems]
    assert (report.score.asked, report.score.invalid) == (5, 5)  # the adder writes no box


def test_without_sgl_eval_one_is_told_how_to_get_it(
    data: Path, adder: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(evals.sgl_eval, "installed", lambda: None)
    line = ["eval", "gsm8k", "--harness", "sgl-eval", "--data", str(data), "--url", adder]
    assert main(line) == 2
    assert "pip install sgl-eval" in capsys.readouterr().err


def test_a_twin_says_to_any_tool_that_it_has_no_accuracy() -> None:
    import urllib.request

    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4}
    request = urllib.request.Request(
        f"{kit.connect('twin', quiet=True).base_url}/v1/chat/completions",
        json.dumps(body).encode(),
        {"content-type": "application/json"},
    )
    with urllib.request.urlopen(request) as reply:
        assert reply.headers["x-kit-accuracy"].startswith("none")
