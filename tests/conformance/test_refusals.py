"""Requests of the wrong form are refused as SGLang 0.5.23 refuses them; none is an accident."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient
from wire_captures import Exchange
from wire_refusals import DIFFERENT, Refusal, refusals, told

from kit.twin.app import app
from kit.twin.server import Twin


@pytest.fixture(scope="module")
def twin() -> Iterator[TestClient]:
    with TestClient(app(Twin("b200x8", speed=500)), base_url="http://127.0.0.1") as client:
        yield client


def ask(twin: TestClient, path: str, body: Any) -> Exchange:
    text = json.dumps(body)
    got = twin.post(path, content=text, headers={"content-type": "application/json"})
    media = got.headers.get("content-type", "")
    return Exchange("POST", path, text, got.status_code, media, got.content)


@pytest.mark.parametrize("one", [r for r in refusals() if not r.different], ids=str)
def test_the_twin_refuses_as_sglang(twin: TestClient, one: Refusal) -> None:
    got = ask(twin, one.path, one.body)
    assert got.status == one.status
    if one.answer is not None:
        assert told(got) == one.answer


def test_where_the_twin_differs_it_still_answers_an_error(twin: TestClient) -> None:
    differ = [one for one in refusals() if one.different]
    assert {one.different for one in differ} == set(DIFFERENT.values())
    for one in differ:
        assert ask(twin, one.path, one.body).status in (200, 400)


# --- whatever is sent

KEYS = {
    "/v1/chat/completions": "messages model n stop stream stream_options temperature "
    "tools tool_choice reasoning_effort regex stop_token_ids chat_template_kwargs response_format",
    "/v1/completions": "prompt model n stop stream stream_options top_p stop_token_ids",
    "/generate": "text input_ids sampling_params stream rid return_logprob image_data",
    "/tokenize": "prompt",
    "/abort_request": "rid abort_all",
}
INNER = (
    "role content type text url image_url video_url function name arguments parameters "
    "properties required tool_calls reasoning_content enable_thinking include_usage "
    "max_new_tokens stop stop_token_ids ignore_eos"
)
STRINGS = "user assistant tool system text image_url function required json_object none { [1]"
LEAVES = st.sampled_from(
    [None, True, False, 0, 1, -1, 2.5, 10**20, "", "half \ud83d", *STRINGS.split()]
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(INNER.split()), inner, max_size=4)
    ),
    max_leaves=12,
)
USER = [{"role": "user", "content": "Hi"}]
COMPLETE = {
    "/v1/chat/completions": {"messages": USER, "max_tokens": 2},
    "/v1/completions": {"prompt": "Hi", "max_tokens": 2},
    "/generate": {"text": "Hi", "sampling_params": {"max_new_tokens": 2}},
}


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_request_is_an_internal_error(twin: TestClient, data: st.DataObject) -> None:
    """The client raises whatever the server did not answer."""
    path = data.draw(st.sampled_from(sorted(KEYS)))
    keys = st.sampled_from(KEYS[path].split())
    body = COMPLETE.get(path, {}) | data.draw(st.dictionaries(keys, VALUES, max_size=3))
    assert ask(twin, path, body).status in (200, 400)
