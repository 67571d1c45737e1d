"""Commands of the course: what runs here, one question, the lessons headless and in JupyterLab."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from kit import load_data
from kit.cli.shared import (
    Add,
    connected,
    endpoint_options,
    given,
    json_option,
    print_figures,
    print_json,
)
from kit.errors import UNSHOWABLE, LessonError, visible

if TYPE_CHECKING:
    from kit.views.reply import Reply, Tally


def add(add_command: Add) -> None:
    sub = add_command("doctor", _doctor, "what is here, what is missing, which lessons run")
    json_option(sub)

    sub = add_command("chat", _chat, "ask one question and watch the answer stream")
    sub.add_argument("text")
    sub.add_argument("--no-thinking", action="store_true", help="instruct mode")
    sub.add_argument(
        "--stall-s",
        type=float,
        default=25.0,
        metavar="SECONDS",
        help="how long to wait for the next words before giving up (default 25)",
    )
    endpoint_options(sub)
    json_option(sub)

    sub = add_command("run", _run, "execute lessons headlessly, with papermill")
    sub.add_argument("notebook", nargs="*", help="number, name or path; default: all")
    endpoint_options(sub)
    sub.add_argument("--out", type=Path, default=Path("build"), help="default: build/")
    sub.add_argument("-p", "--parameter", action="append", default=[], metavar="NAME=VALUE")

    sub = add_command("lab", _lab, "open JupyterLab on the lessons")
    sub.add_argument(
        "folder",
        nargs="?",
        help="the lessons are copied there, changed files kept, and opened (default: work/ in a "
        "clone, which git ignores, else qwen35-course/; notebooks/ is opened as it is)",
    )
    sub.add_argument("arguments", nargs="*", help="after --, for jupyter lab itself")

    sub = add_command("reset", _reset, "put a lesson back as it came; your copy stays beside it")
    sub.add_argument("lesson", help="number or name")
    sub.add_argument("folder", nargs="?", type=Path, help="where you work (default: as kit lab)")


def _doctor(args: argparse.Namespace) -> int:
    from kit.course.doctor import examine

    report = examine()
    print_figures(report, args)
    return 0 if report.fine else 1


def _chat(args: argparse.Namespace) -> int:
    from kit.chat import stream
    from kit.views.reply import Tally

    asked = stream(connected(args), args.text, thinking=not args.no_thinking, stall_s=args.stall_s)
    tally = Tally(args.text, asked)
    if not args.json:
        return _watch(tally)
    for _ in tally:
        pass
    print_json(
        {
            "thinking": asked.thinking,
            "answer": asked.answer,
            "finish_reason": asked.finish_reason,
            "remark": asked.remark,
            "usage": asdict(asked.usage) if asked.usage else None,
            "ttft_ms": tally.ttft_ms,
            "tokens_per_s": tally.tokens_per_s,
            "author": asked.author.to_json() if asked.author else None,
            "provenance": asked.provenance.to_json(),
        }
    )
    return 0


def _watch(tally: Tally) -> int:
    """Print it as it comes, and at last its figures, what they are worth, and who wrote it."""
    from kit.chat import Answer, StreamCut, Thinking, ToolCall, WasThinking

    last: type | None = None
    try:
        for event in tally:
            match event:
                case Thinking(text) | Answer(text):
                    if last not in (None, type(event)):
                        print("\n" + "─" * 40)
                    print(_inert(text), end="", flush=True)
                    last = type(event)
                case WasThinking():
                    last = Thinking
                case ToolCall(name=name, arguments=arguments, done=True):
                    print(f"\ncalls {_inert(name)}({_inert(arguments)})", end="", flush=True)
    except StreamCut:
        print()
        raise
    remark, reply = tally.stream.remark, tally.reply()
    print("\n" + (f"\n{visible(remark)}" if remark else ""))
    print(f"{_figures(reply)}\n{visible(str(reply.provenance))}\n{visible(str(reply.author))}")
    return 0


def _inert(text: str) -> str:
    """What a model wrote, for a terminal: lines and tabs as they are, and what a terminal would
    obey (colours, a title, the direction of writing) as escapes."""
    kept = text.replace("\r\n", "\n")
    return UNSHOWABLE.sub(lambda one: one[0] if one[0] in "\n\t" else visible(one[0]), kept)


def _figures(reply: Reply) -> str:
    """Tokens in, out and thinking; the times. What is unknown is left out."""
    about = "" if reply.exact else "≈ "
    thinking = reply.thinking_tokens or 0
    out = thinking + (reply.answer_tokens or 0)
    parts = [f"{_tokens(reply.usage.prompt_tokens)} in"] if reply.usage else []
    if out or reply.usage:
        parts.append(f"{about}{_tokens(out)} out")
    if thinking:
        parts[-1] += f", {about}{thinking:,} of them thinking"
    if reply.ttft_ms is not None:
        parts.append(f"first token after {reply.ttft_ms:,.0f} ms")
    if reply.tokens_per_s is not None:
        parts.append(f"{reply.tokens_per_s:,.0f} tokens/s")
    return " · ".join(parts)


def _tokens(count: int) -> str:
    return f"{count:,} token{'s' * (count != 1)}"


def _run(args: argparse.Namespace) -> int:
    from kit.course.lessons import assignment, find, lessons, run
    from kit.endpoint import TWIN, base_url
    from kit.hardware import profile

    if args.profile:
        profile(args.profile)
    if args.url and args.url != TWIN:
        base_url(args.url)  # an address with a key in it is refused before a page holds it
    # the key goes to the lessons' kernels by the environment: a parameter would be saved
    for name, value in (("KIT_API_KEY", args.key), ("KIT_MODEL", args.model)):
        if value:
            os.environ[name] = value
    options = given(args, "url", "profile", "speed")
    chosen = [find(name) for name in args.notebook] or list(lessons())
    done = run(chosen, args.out, options, dict(map(assignment, args.parameter)))
    failed = [one for one in done if one.error]
    for one in failed:
        print(f"kit: {one.name} {one.error}", file=sys.stderr)
    return 1 if failed else 0


def _lab(args: argparse.Namespace) -> int:
    from kit.course.copies import lay_out, own_folder
    from kit.course.doctor import examine
    from kit.course.lessons import NOTEBOOKS, lessons

    print(examine(quick=True).first_lines(), flush=True)
    try:
        from jupyterlab.labapp import LabApp
    except ModuleNotFoundError as missing:
        raise LessonError(f"JupyterLab cannot start: {missing}", "kit doctor") from missing
    folder, arguments = args.folder, args.arguments
    if folder and folder.startswith("-"):  # kit lab -- --no-browser
        folder, arguments = None, [folder, *arguments]
    root = Path(folder) if folder else own_folder()
    if root.resolve() != NOTEBOOKS:
        lay_out(NOTEBOOKS, root)
    ours = str(load_data.path("jupyter"))
    others = os.environ.get("JUPYTER_CONFIG_PATH")
    os.environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join(filter(None, [ours, others]))
    LabApp.launch_instance(
        argv=[
            f"--ServerApp.root_dir={root.resolve()}",
            f"--LabApp.default_url=/lab/tree/{lessons()[0].name}",
            *(["--allow-root"] if getattr(os, "geteuid", lambda: 1)() == 0 else []),  # containers
            *arguments,
        ]
    )
    return 0


def _reset(args: argparse.Namespace) -> int:
    from kit.course.copies import own_folder, reset

    reset(args.lesson, args.folder or own_folder())
    return 0
