"""Replicas behind SGLang's router: its command, and a reason for each flag.

    >>> router_plan(["http://10.0.0.1:30000", "http://10.0.0.2:30000"]).argv()[:3]
    ['python', '-m', 'sglang_router.launch_router']

The router is a package of its own (`sglang-router`), in Rust; it needs no GPU. Flags and defaults:
sglang-router 0.3.2, router_args.py; tried in tests/router.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kit.errors import InvalidValue, UnknownName
from kit.launch import validate
from kit.launch.plan_flags import HTTP_PORT, KEY_VARIABLE, LOOPBACK
from kit.launch.render import template
from kit.provenance import Provenance, computed

VERSION = "0.3.2"
ROUTER_PORT = 8000
METRICS_PORT = 29000
POLICIES = ("cache_aware", "power_of_two", "round_robin", "random")
ROUTER_FORMS = {
    "shell": "router.sh.j2",
    "compose": "router.compose.yaml.j2",
    "k8s": "router.k8s.yaml.j2",
}
_ADDRESS = re.compile(r"https?://[\w.-]+(:\d+)?(/[\w./~-]*)?|https?://\[[\w:.]+\](:\d+)?", re.ASCII)
_KEYS = {  # how each writes a variable
    "compose": f"${{{KEY_VARIABLE}:?a key of your choice}}",
    "k8s": f"$({KEY_VARIABLE})",
}
_SOURCE = f"sglang-router {VERSION}, router_args.py"


@dataclass(frozen=True)
class RouterFlag:
    """One flag with its values, and why it is there."""

    name: str
    values: tuple[str, ...]
    reason: str

    @property
    def words(self) -> tuple[str, ...]:
        return (self.name, *self.values)


@dataclass(frozen=True)
class RouterPlan:
    """What to type to put a router before replicas that run already, or are starting."""

    worker_urls: tuple[str, ...]
    policy: str
    host: str = "127.0.0.1"
    port: int = ROUTER_PORT
    api_key: bool = False

    def __post_init__(self) -> None:
        if not self.worker_urls:
            raise InvalidValue("a router without replicas", "give the address of one at least")
        for url in self.worker_urls:
            if not _ADDRESS.fullmatch(url):
                raise InvalidValue(f"{url!r} is no address", "write it like http://10.0.0.1:30000")
        validate.address(self.host, self.port)
        if len(set(self.worker_urls)) < len(self.worker_urls):
            raise InvalidValue("a replica twice", "name each once")
        if self.policy not in POLICIES:
            raise UnknownName("policy of the router", self.policy, POLICIES)

    @property
    def flags(self) -> tuple[RouterFlag, ...]:
        here = self.host in LOOPBACK
        on = "only this machine reaches it" if here else "others reach it: mind who does"
        flags = [
            RouterFlag("--worker-urls", self.worker_urls, "the replicas, each a whole server"),
            RouterFlag("--policy", (self.policy,), _WHY[self.policy]),
            RouterFlag("--host", (self.host,), on),
            RouterFlag("--port", (str(self.port),), f"a replica beside it may have {HTTP_PORT}"),
            RouterFlag(
                "--prometheus-port",
                (str(METRICS_PORT),),
                "its metrics have a port of their own; those of the replicas are /engine_metrics",
            ),
        ]
        if self.api_key:
            flags.append(RouterFlag("--api-key", (f"${KEY_VARIABLE}",), "the replicas ask for it"))
        return tuple(flags)

    @property
    def provenance(self) -> Provenance:
        return computed(f"kit.launch for {len(self.worker_urls)} replicas, after {_SOURCE}")

    def argv(self) -> list[str]:
        """The command as a list of words."""
        head = ["python", "-m", "sglang_router.launch_router"]
        return [*head, *(word for flag in self.flags for word in flag.words)]

    def shell(self) -> str:
        """The command as text to paste, one flag per line."""
        typed = (" ".join(map(_typed, flag.words)) for flag in self.flags)
        return " \\\n  ".join(["python -m sglang_router.launch_router", *typed])

    def form(self, name: str) -> str:
        """As shell, compose or k8s text. Raises UnknownName."""
        if name not in ROUTER_FORMS:
            raise UnknownName("form of a router", name, ROUTER_FORMS)
        key = _KEYS.get(name, "")
        return template(ROUTER_FORMS[name]).render(
            command=self.shell(),
            words=[word.replace(f"${KEY_VARIABLE}", key) for word in self.argv()],
            version=VERSION,
            port=self.port,
            host=self.host,
            replicas=len(self.worker_urls),
            provenance=str(self.provenance.kind),
            key=self.api_key,
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "argv": self.argv(),
            "flags": [
                {"flag": f.name, "values": list(f.values), "reason": f.reason, "source": _SOURCE}
                for f in self.flags
            ],
            "provenance": self.provenance.to_json(),
        }

    def __str__(self) -> str:
        width = max(len(f"{f.name} {f.values[0]}") for f in self.flags)
        why = (f"{f.name + ' ' + f.values[0]:<{width}}  {f.reason}" for f in self.flags)
        return "\n\n".join([self.shell(), "\n".join(why), str(self.provenance)])


_WHY = {
    "cache_aware": "prompts that begin alike go to the replica that has read the beginning",
    "power_of_two": "of two replicas drawn at random the one with less to do",
    "round_robin": "one after the other",
    "random": "any of them",
}


def router_plan(
    worker_urls: Sequence[str], shared_prefix: bool = False, **options: Any
) -> RouterPlan:
    """The router for these replicas: by what they have read, where prompts share a prefix, else
    by what they have to do. Raises InvalidValue, UnknownName."""
    policy = options.pop("policy", "cache_aware" if shared_prefix else "power_of_two")
    urls = tuple(url.rstrip("/") for url in worker_urls)
    return RouterPlan(urls, policy, **options)


def _typed(word: str) -> str:
    return f'"{word}"' if word.startswith("$") else shlex.quote(word)
