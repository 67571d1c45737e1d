"""A capture's request, sent again: to the server it was recorded from, and to the twin."""

from __future__ import annotations

import http.client
import json
from collections.abc import Collection
from typing import Any
from urllib.parse import quote

from wire_captures import Exchange, read, request_json
from wire_cases import SERVED, same

Sent = tuple[str, str, str]  # method, path, body

ABORT_ALL = '{"rid":"","abort_all":true}'  # the file does not say what was sent


def ask(url: str, method: str, path: str, body: str) -> Exchange:
    """One request, and all of its answer."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
    headers = {"content-type": "application/json"} if body else {}
    connection.request(method, path, body.encode() if body else None, headers)
    answer = connection.getresponse()
    media = answer.headers.get("content-type", "")
    got = Exchange(method, path, body, answer.status, media, answer.read())
    connection.close()
    return got


def for_the_twin(name: str, url: str) -> Sent:
    """The request of a capture, changed as its case says."""
    capture, case = read(name), SERVED[name]
    path, body = capture.path, capture.request
    if case.change is not same:
        body = json.dumps(case.change(request_json(capture)))
    if name == "51_model_tiny":
        listed = json.loads(ask(url, "GET", "/v1/models", "").body)
        path = "/v1/models/" + quote(listed["data"][0]["id"])
    if name == "66_abort":
        body = ABORT_ALL
    return capture.method, path, body


def settled(value: Any, nulls: tuple[str, ...], without: Collection[str] = ()) -> Any:
    """A piece of an answer with null for the keys of `nulls`, and without those of `without`."""
    if isinstance(value, dict):
        return {
            key: None if key in nulls else settled(inner, nulls, without)
            for key, inner in value.items()
            if key not in without
        }
    if isinstance(value, list):
        return [settled(inner, nulls, without) for inner in value]
    return value
