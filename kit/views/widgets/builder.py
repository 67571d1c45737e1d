"""Put a launch command together by choosing, and see why each flag is there.

    chosen = builder(profile("h200x8"))
    chosen                # the controls, and below them the command
    chosen.plan           # the LaunchPlan that they make

What is below the controls is an ordinary output, redrawn in place: it stays in a saved
notebook, where controls are dead. Where no reader can be asked it is the plain command.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from html import escape
from typing import TYPE_CHECKING, Any

from kit.errors import InvalidValue, KitError, UnknownName
from kit.hardware import SGLANG, Profile, profile
from kit.launch import LaunchPlan
from kit.views.figures.ledger import verdict
from kit.views.live import Bundle, ControlledOutput
from kit.views.safe_markdown import html_text
from kit.views.widgets.builder_model import Resolved, Selection, resolve

if TYPE_CHECKING:
    from kit.views.widgets.page_widgets import BuilderWidget

_HEAD = ("flag", "why", "who says so")
MARKS = {"fits": "✓", "tight": "△", "short": "△", "no": "✗"}


class Builder(ControlledOutput):
    """A command that is chosen. `plan` and `command` follow the choices; `choose` makes them."""

    _controls_text = "Controls of the command below, in a page that draws widgets."
    _own_widget = True

    def __init__(self, base: Profile, sglang: str = SGLANG) -> None:
        self._base = base
        self._now = resolve(Selection.of(base, sglang), base)
        self._widget: BuilderWidget | None = None

    @property
    def plan(self) -> LaunchPlan:
        """The launch plan of what is chosen now."""
        return self._now.plan

    @property
    def command(self) -> str:
        """What the Copy button copies."""
        return self._now.command

    @property
    def resolved(self) -> Resolved:
        """The choices, with the reason of each that cannot be made."""
        return self._now

    def choose(self, **wanted: Any) -> None:
        """Change choices by name: `choose(gpu="h100", form="slurm")`.

        Raises UnknownName for a name or value there is not, InvalidValue with the reason
        for one that cannot be now.
        """
        for name, value in wanted.items():
            self._check(name, value)
        self._now = resolve(replace(self._now.selection, **wanted), self._base)
        if self._widget is not None:
            self._widget.command, self._widget.form = self.command, self._form()
        self.redraw()

    def _check(self, name: str, value: Any) -> None:
        fields = {field.name: field for field in self._now.fields}
        if name not in fields:
            raise UnknownName("choice", name, fields)
        field = fields[name]
        if value and field.locked:
            raise InvalidValue(f"{field.label} cannot be on: {field.locked}", "leave it off")
        choice = field.choice(value)
        if choice is None and field.choices:
            raise UnknownName(field.label, str(value), [str(c.value) for c in field.choices])
        if choice is not None and choice.reason:
            raise InvalidValue(
                f"{field.label} {choice.label}: {choice.reason}",
                "possible: " + ", ".join(str(c.value) for c in field.choices if not c.reason),
            )

    def controls(self) -> BuilderWidget:
        """The widget: a control for each choice, the verdict, and Copy."""
        from kit.views.widgets.page_widgets import BuilderWidget

        self._widget = widget = BuilderWidget(self._form(), self.command, self._on_choose)
        return widget

    def bundle(self) -> Bundle:
        """The command and why each flag is there; as HTML only under controls."""
        bundle = {"text/markdown": _markdown(self._now), "text/plain": self.command}
        return bundle if self._widget is None else {"text/html": _html(self._now), **bundle}

    def _on_choose(self, name: str, value: Any) -> None:
        try:
            self.choose(**{name: value})
        except KitError as error:
            if self._widget is not None:
                self._widget.form = {**self._form(), "changed": [error.what]}

    def _form(self) -> dict[str, Any]:
        made = self._now
        return {
            "fields": [asdict(field) for field in made.fields],
            "changed": list(made.changed),
            "verdict": _verdict(made.plan),
            "mark": made.plan.memory.verdict,
        }


def builder(start: Profile | str = "h200x8", sglang: str = SGLANG) -> Builder:
    """Choose model, precision, GPUs, MTP, parsers, vision, machines, version and form.

    `start` is a profile or its name. Raises UnknownName.
    """
    return Builder(profile(start) if isinstance(start, str) else start, sglang)


def _verdict(plan: LaunchPlan) -> str:
    return f"{MARKS[plan.memory.verdict]} {verdict(plan.memory)}"


def _rows(plan: LaunchPlan) -> Iterator[tuple[str, str, str]]:
    """(flag, why, source) of every flag and variable."""
    for variable in plan.variables:
        yield f"{variable.name}={variable.value}", variable.reason, variable.source
    for flag in plan.node_flags():
        yield " ".join(flag.words), flag.reason, flag.source


def _markdown(made: Resolved) -> str:
    plan = made.plan
    language = "yaml" if made.selection.form in ("compose", "k8s", "skypilot") else "bash"
    rows = [f"| `{_cell(flag)}` | {_cell(why)} | {_cell(who)} |" for flag, why, who in _rows(plan)]
    absent = [f"- `{one.flag}`: {one.reason}" for one in plan.left_out]
    parts = [
        f"**{_verdict(plan)}** · {plan.profile}",
        f"```{language}\n{made.command.rstrip()}\n```",
        "\n".join([f"| {' | '.join(_HEAD)} |", "|---|---|---|", *rows]),
        *([f"Left out, and why:\n\n{chr(10).join(absent)}"] if absent else []),
        *(f"Mind: {warning}." for warning in plan.warnings),
        f"*{plan.provenance}*",
    ]
    return "\n\n".join(parts)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _html(made: Resolved) -> str:
    plan = made.plan
    cell = '<td style="text-align:left">'
    rows = "".join(
        f"<tr>{cell}<code>{escape(flag)}</code></td>{cell}{html_text(why)}</td>"
        f"{cell}{html_text(who)}</td></tr>"
        for flag, why, who in _rows(plan)
    )
    absent = "".join(
        f"<li><code>{escape(one.flag)}</code>: {html_text(one.reason)}</li>"
        for one in plan.left_out
    )
    heads = "".join(f'<th style="text-align:left">{name}</th>' for name in _HEAD)
    mind = "".join(f"<p><b>Mind:</b> {html_text(warning)}.</p>" for warning in plan.warnings)
    return (
        f'<pre style="{_PRE}" tabindex="0" aria-label="the command">{_hinted(made)}</pre>{mind}'
        f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
        f"<details><summary>Left out, and why</summary><ul>{absent}</ul></details>"
        f"<p><em>{html_text(str(plan.provenance))}</em></p>"
    )


_PRE = (
    "margin:10px 0 12px;padding:12px 14px;border:1px solid var(--jp-border-color2,#d8d8d8);"
    "border-radius:8px;"
    "background:var(--jp-layout-color2,#f3f3f3);overflow:auto;max-height:460px"
)


def _hinted(made: Resolved) -> str:
    """The command, each flag's name with its reason as a tooltip."""
    reasons = {flag.name: f"{flag.reason} ({flag.source})" for flag in made.plan.node_flags()}
    return "\n".join(_hinted_line(line, reasons) for line in made.command.rstrip().split("\n"))


def _hinted_line(line: str, reasons: dict[str, str]) -> str:
    for name, reason in reasons.items():
        before, found, after = line.partition(name)
        if found and not after[:1].isalnum() and after[:1] != "-":
            hint = f'<span title="{escape(reason)}" style="text-decoration:underline dotted">'
            return f"{escape(before)}{hint}{name}</span>{escape(after)}"
    return escape(line)
