"""What a browser's page is as a place for the course, and what it has not."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from importlib.util import find_spec

from kit import page
from kit.course.doctor.machine import EVERY, Finding, Machine

INSTALL = "on a computer of one's own: make lab; without an installation: Binder"


def place(_: Machine) -> Finding:
    found = f"a browser's page: Python {platform.python_version()} in it, the twin in the kernel"
    return Finding("here", "ok", f"{found}; nothing is installed, nothing asked of another host")


def waiting(_: Machine) -> Finding:
    """Whether a plain cell can wait for an answer."""
    if page.can_wait():
        return Finding("plain cells", "ok", "this browser can wait for an answer in them")
    found = "this browser cannot wait for an answer in them (it has no JSPI)"
    return Finding("plain cells", "fail", found, page.BROWSERS, EVERY)


def pictures(_: Machine) -> Finding:
    """Pillow is here only where whoever built the page had a build for it."""
    if find_spec("PIL") is not None:
        return Finding("pictures", "ok", "they can be drawn and made smaller here")
    found = "Pillow is not in this page: the lessons' own are here, and no others are made smaller"
    return Finding("pictures", "warn", found, INSTALL, more=found, shows_more=("05",))


def servers(_: Machine) -> Finding:
    """Processes and threads, which a page has not."""
    found = "a page starts no server, and runs neither SGLang nor the pocket model"
    more = f"{found}: recordings stand in"
    return Finding("servers", "warn", found, INSTALL, more=more, shows_more=("03", "11"))


CHECKS: Mapping[str, Callable[[Machine], Finding]] = {
    "here": place,
    "plain cells": waiting,
    "pictures": pictures,
    "servers": servers,
}
