"""What a server says it is: the model to ask for, SGLang's version, whether it is a twin."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from kit.errors import EndpointError, UnknownName
from kit.http import MAX_NAME, URL_HINT, HttpReply, get, get_json, is_plain, model_names

REFUSED = "refused the key"
_KEY_HINT = 'give the right one: kit.connect(url, key="…"), or set KIT_API_KEY'
_TWIN_HEADER = "x-kit-twin"


@dataclass(frozen=True)
class Identity:
    """`sglang` is the version, None where the server is of another kind. `twin` is the (profile,
    clock, SGLang version) that a twin simulates, None for any other server."""

    model: str
    sglang: str | None = None
    twin: tuple[str, float, str] | None = None
    behind_router: bool = False


def identify(url: str, key: str | None, model: str | None, timeout_s: float) -> Identity:
    """Ask the server at `url` (without /v1) what it is, within `timeout_s` in all.

    `model` is needed only where a server has several. Raises EndpointError for a server that
    cannot be reached, refuses the key or is no OpenAI-compatible server; UnknownName for a model.
    """
    until_s = time.monotonic() + timeout_s
    reply = get(f"{url}/v1/models", key, timeout_s)
    chosen = _model(url, reply, model)
    label = reply.headers.get(_TWIN_HEADER)
    if label is not None:
        return Identity(chosen, twin=_twin_settings(url, label))
    version = _version(url, key, max(0.1, until_s - time.monotonic()))
    if version is None:
        label = _label_behind_router(url, key, max(0.1, until_s - time.monotonic()))
        if label is not None:
            return Identity(chosen, twin=_twin_settings(url, label), behind_router=True)
    return Identity(chosen, version)


def simulation(profile: str | None, speed: float, sglang: str | None) -> str:
    """What a twin simulates, in words."""
    clock = f", clock ×{speed:g}" if speed != 1 else ""
    return f"SGLang {sglang} on {profile}{clock}"


def _model(url: str, reply: HttpReply, model: str | None) -> str:
    """The model to ask for, out of the server's own list."""
    if reply.status in (401, 403):
        raise EndpointError(f"{url} {REFUSED} ({reply.status})", _KEY_HINT)
    if reply.status == 429 or reply.status >= 500:
        raise EndpointError(
            f"{url} answers, but fails ({reply.status})", "read its log, then connect again"
        )
    names = model_names(reply.json)
    if reply.status != 200 or names is None:
        raise EndpointError(
            f"{url} is not an OpenAI-compatible server: /v1/models gave {reply.summary}", URL_HINT
        )
    if model is not None and model in names:
        return model
    if model is not None and names:
        raise UnknownName("model", model, names, more=f"(at {url})")
    ours = names if len(names) == 1 else [name for name in names if "qwen3.5" in name.lower()]
    if len(ours) == 1:
        return ours[0]
    if not names:
        which = "no model with a name that can be shown" if reply.json["data"] else "no model"
        raise EndpointError(f"{url} serves {which}", "start it with one, then connect again")
    some = ", ".join(name[:60] for name in (ours or names)[:5])
    raise EndpointError(
        f"{url} serves {len(names)} models: {some}{', …' if len(ours or names) > 5 else ''}",
        'say which: kit.connect(url, model="…"), or set KIT_MODEL',
    )


def _version(url: str, key: str | None, timeout_s: float) -> str | None:
    """The SGLang version of a server; None where it is another kind."""
    info = get_json(url, "/server_info", key, timeout_s)
    version = info.get("version") if isinstance(info, dict) and "internal_states" in info else None
    known = isinstance(version, str) and 0 < len(version) < 40 and is_plain(version)
    return version if known else None


def _label_behind_router(url: str, key: str | None, timeout_s: float) -> str | None:
    """The label of a twin behind SGLang's router; None where there is none.

    The router answers /v1/models by itself and has no /server_info; /get_model_info it passes on
    to one of its workers, headers and all (sglang-router 0.3.2). It does not pass on the request
    for a twin's own clock.
    """
    try:
        return get(f"{url}/get_model_info", key, timeout_s).headers.get(_TWIN_HEADER)
    except EndpointError:
        return None


def _twin_settings(url: str, label: str) -> tuple[str, float, str]:
    """Profile, clock and version, as a twin's header gives them. Raises EndpointError."""
    settings = dict(part.strip().partition("=")[::2] for part in label.split(";"))
    try:
        profile, sglang, speed = settings["profile"], settings["sglang"], float(settings["speed"])
        if not (is_plain(label) and len(label) < MAX_NAME and 0 < speed < math.inf):
            raise ValueError(label)
    except (KeyError, ValueError):
        raise EndpointError(
            f"{url} calls itself a twin, and not as this kit's do: {label[:80]!r}",
            "start one of this version there: kit twin",
        ) from None
    return profile, speed, sglang
