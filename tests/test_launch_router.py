"""Replicas behind SGLang's router: its command, and that twins behind one are still simulated."""

from __future__ import annotations

import pytest
import yaml
from servers import Handler, Server

from kit.endpoint import connect
from kit.errors import KitError
from kit.launch import router_plan
from kit.launch.router import POLICIES, ROUTER_FORMS

WORKERS = ["http://10.0.0.1:30000", "http://10.0.0.2:30000/"]


def test_every_flag_has_its_reason():
    plan = router_plan(WORKERS)
    assert all(flag.reason for flag in plan.flags)
    words = plan.argv()
    at = words.index("--worker-urls")
    assert words[at + 1 : at + 3] == ["http://10.0.0.1:30000", "http://10.0.0.2:30000"]


def test_prompts_that_share_a_prefix_go_where_it_was_read():
    assert router_plan(WORKERS, shared_prefix=True).policy == "cache_aware"
    assert router_plan(WORKERS).policy == "power_of_two"


@pytest.mark.parametrize("form", ROUTER_FORMS)
@pytest.mark.parametrize("policy", POLICIES)
def test_every_form_names_every_replica(form, policy):
    text = router_plan(WORKERS, policy=policy, api_key=True).form(form)
    assert "http://10.0.0.1:30000" in text
    assert "http://10.0.0.2:30000" in text
    assert policy in text
    if form != "shell":
        assert list(yaml.safe_load_all(text))


def test_a_key_stays_a_variable_in_every_form():
    plan = router_plan(WORKERS, api_key=True)
    assert '"$KIT_API_KEY"' in plan.form("shell")
    assert '"${KIT_API_KEY:?' in plan.form("compose")
    assert "$(KIT_API_KEY)" in plan.form("k8s")


@pytest.mark.parametrize("urls", [[], ["10.0.0.1:30000"], ["http://a:1", "http://a:1/"]])
def test_what_is_no_set_of_replicas_is_refused(urls):
    with pytest.raises(KitError):
        router_plan(urls)


class _Router(Handler):
    """Answers as sglang-router 0.3.2 does; tests/router asks the real one."""

    def do_GET(self) -> None:
        found = {
            "/v1/models": {"object": "list", "data": [{"id": "m", "owned_by": "local"}]},
            "/get_model_info": {"model_path": "m"},
        }.get(self.path)
        twin = {"x_kit_twin": "profile=h200x8; sglang=0.5.23; speed=2"}
        own = twin if self.path == "/get_model_info" else {}
        self.reply(found or {}, 200 if found else 404, **own)


def test_twins_behind_a_router_are_called_simulated():
    with Server(_Router) as server:
        found = connect(server.url, quiet=True)
    assert found.kind == "twin"
    assert found.speed == 2
    assert found.provenance.kind == "simulated"
    assert "behind a router" in found.provenance.source
