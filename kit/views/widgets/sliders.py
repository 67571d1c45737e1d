"""Turn the knobs of a profile, and watch where the memory goes.

    sliders(profile("h200x8"))

Below the controls is a drawing, which every change redraws.
"""

from __future__ import annotations

from dataclasses import fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from kit.errors import KitError, UnknownName
from kit.hardware import SGLANG, Mtp, Profile
from kit.models.precision import precision, precisions
from kit.sizing import MemoryPlan, plan
from kit.views.figures.ledger import plan_table
from kit.views.figures.plan_svg import draw, enough
from kit.views.frontend import page_script
from kit.views.live import Bundle, ControlledOutput
from kit.views.safe_markdown import html_text

if TYPE_CHECKING:
    import ipywidgets

CONTEXTS = tuple(2**n * 1024 for n in range(11))  # tokens: 1k … 1M
_FIELDS = {field.name for field in fields(Profile)} | {"requests", "tokens"}
STATE_DTYPES = ("float32", "bfloat16")


class Sliders(ControlledOutput):
    """Controls over a profile. `profile`, `plan`, `requests` and `tokens` follow them.

    `problem` is the error of the last change, where it led to no plan: `plan` is then the
    one before.
    """

    def __init__(self, profile: Profile, sglang: str = SGLANG) -> None:
        self.profile = profile
        self.sglang = sglang
        self.plan: MemoryPlan = plan(profile, sglang)
        self.requests = self.plan.max_running_requests or 16
        self.tokens = 8192
        self.problem: KitError | None = None

    def set(self, **changes: Any) -> None:
        """Change fields of the profile, `requests` or `tokens`; plan anew, and redraw.

        `requests` is also what `--max-running-requests` is set to. Raises UnknownName for a
        field there is not.
        """
        for name in changes:
            if name not in _FIELDS:
                raise UnknownName("field of a profile", name, _FIELDS)
        if "requests" in changes:
            self.requests = changes["max_running_requests"] = changes.pop("requests")
        self.tokens = changes.pop("tokens", self.tokens)
        if "precision" in changes:
            changes["kv_dtype"] = precision(changes["precision"]).kv_dtype
        try:
            self.profile = replace(self.profile, **changes)
            self.plan = plan(self.profile, self.sglang)
            self.problem = None
        except KitError as error:
            self.problem = error
        self.redraw()

    def controls(self) -> ipywidgets.Box:
        """The controls, a label on each. Changing one calls `set`."""
        import ipywidgets as w

        p, recipes = self.profile, precisions().values()
        kinds = [(r.title, r.key) for r in recipes if p.model.name in r.sizes]
        lengths = [(f"{n:,}", n) for n in CONTEXTS if n <= p.model.max_position_embeddings]
        most = max(256, 2 * self.requests)
        fraction = {"min": 0.3, "max": 0.98, "step": 0.01}
        made = {
            "requests": _labelled(w.IntSlider, "requests at once", self.requests, min=1, max=most),
            "tokens": _labelled(
                w.SelectionSlider, "tokens per request", self.tokens, options=lengths
            ),
            "mem_fraction_static": _labelled(
                w.FloatSlider, "mem_fraction_static", self.plan.mem_fraction_static, **fraction
            ),
            "precision": _labelled(w.Dropdown, "precision", p.precision, options=kinds),
            "ssm_dtype": _labelled(
                w.Dropdown, "GDN state dtype", p.ssm_dtype, options=list(STATE_DTYPES)
            ),
            "mtp": w.Checkbox(value=p.mtp is not None, description="MTP", indent=False),
            "radix_cache": w.Checkbox(value=p.radix_cache, description="radix cache", indent=False),
        }
        for name, control in made.items():
            control.observe(partial(self._changed, name), names="value")
        left, right = list(made.values())[:3], list(made.values())[3:]
        return w.HBox([w.VBox(left), w.VBox(right)]).add_class("kit-sliders")

    def _changed(self, name: str, change: dict[str, Any]) -> None:
        value = change["new"]
        self.set(**{name: (Mtp() if value else None) if name == "mtp" else value})

    def bundle(self) -> Bundle:
        """The drawing and its sentence: HTML for a page, text for anything else."""
        if self.problem is not None:
            what, hint = self.problem.what, self.problem.hint
            html = f"<p><b>{html_text(what)}</b><br>→ {html_text(hint)}</p>"
            return {"text/html": html, "text/plain": str(self.problem)}
        sentence = enough(self.plan, self.requests, self.tokens)
        svg = draw(self.plan, self.requests, self.tokens)
        return {
            "text/html": f"{svg}<p>{sentence}</p>{page_script()}",
            "text/plain": f"{plan_table(self.plan)}\n{sentence}",
        }


def sliders(profile: Profile, sglang: str = SGLANG) -> Sliders:
    """Controls for context, concurrency, `mem_fraction_static`, precision, state dtype, MTP
    and the radix cache of `profile`, over a drawing of its plan."""
    return Sliders(profile, sglang)


def _labelled(kind: Any, label: str, value: Any, **options: Any) -> Any:
    """A control of one width, its label beside it."""
    wide = {"style": {"description_width": "160px"}, "layout": {"width": "440px"}}
    return kind(**options, value=value, description=label, **wide)
