"""deploy/jupyterhub/fair-use.conf, in a real nginx between the kit and a twin that plays SGLang.

The hub behind it is the real one. nginx is Debian's; where it is not installed, the tests are
skipped (KIT_NGINX names another).
"""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import openai
import pytest
from servers import start, stop

from kit import connect
from kit.chat import stream
from kit.errors import EndpointError
from kit.http import get
from kit.server.processes import free_port
from kit.twin import process

from .hub import PASSWORD, ROOT, Hub
from .learner import Learner

NGINX = os.environ.get("KIT_NGINX") or shutil.which("nginx") or "/usr/sbin/nginx"
TOKEN = "import os; print(os.environ['JUPYTERHUB_API_TOKEN'])"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path(NGINX).exists(), reason="no nginx: apt-get install nginx-light"),
]


@pytest.fixture(scope="module")
def url(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the endpoint for all."""
    folder, port = tmp_path_factory.mktemp("nginx"), free_port()
    twin = process.start()
    text = (ROOT / "deploy" / "jupyterhub" / "fair-use.conf").read_text()
    text = text.replace("server sglang:30000", f"server {twin.url.removeprefix('http://')}")
    text = text.replace("server hub:8081", f"server 127.0.0.1:{hub.hub_port}")
    text = text.replace("http://hub/", "http://hub/room/")  # the base URL of this hub
    text = text.replace("listen 8080", f"listen 127.0.0.1:{port}").replace("/tmp/", f"{folder}/")
    # a twin answers to names of this machine only; SGLang to any
    text = text.replace("proxy_pass http://sglang;", "proxy_pass http://sglang;\n"
                        "      proxy_set_header Host localhost;")  # fmt: skip
    config = folder / "nginx.conf"
    config.write_text(text)
    command = [NGINX, "-e", "stderr", "-c", str(config), "-g", "daemon off; user root;"]
    url = f"http://127.0.0.1:{port}"
    try:
        nginx = start(command, lambda: _answers(url), folder / "log", 10)
        yield url
        stop(nginx)
    finally:
        twin.close()


def _answers(url: str) -> bool:
    """Whatever it answers: without a key that is no."""
    try:
        return bool(get(f"{url}/").status)
    except EndpointError:
        return False


def keys(hub: Hub, *names: str) -> list[str]:
    """What the hub gave the servers of learners."""

    async def key(name: str) -> str:
        async with Learner(hub.url, name) as learner:
            await learner.log_in(PASSWORD)
            await learner.start()
            await learner.open("04_think_or_answer.ipynb")
            return (await learner.run(TOKEN)).prints[0][1].strip()

    async def all_of_them() -> list[str]:
        return await asyncio.gather(*map(key, names))

    return asyncio.run(all_of_them())


def test_a_key_of_the_hub_opens_it_and_has_its_share(hub: Hub, url: str) -> None:
    for wrong in (None, "not-a-key"):
        with pytest.raises(EndpointError, match="refused the key"):
            connect(url, wrong, quiet=True)
    anna, ben = (connect(url, key, quiet=True) for key in keys(hub, "anna", "ben"))
    assert "simulated" in str(anna.provenance)
    chunks = [time.monotonic() for _ in stream(anna, "What is 15% of 240?", thinking=True)]
    assert chunks[-1] - chunks[0] > 0.5  # not in one lump at its end
    messages = [{"role": "user", "content": "Hi"}]

    def ask(_: int) -> str:
        client = anna.client().with_options(max_retries=0)
        try:
            client.chat.completions.create(
                model=anna.model, messages=messages, max_tokens=300, extra_body={"ignore_eos": True}
            )
        except openai.RateLimitError as problem:
            return f"after {problem.response.headers['retry-after']} s: {problem.body['message']}"
        return "answered"

    with ThreadPoolExecutor(20) as pool:
        asked = [pool.submit(ask, n) for n in range(20)]
        time.sleep(0.3)
        assert list(stream(ben, "What is 15% of 240?", thinking=False))
        said = [one.result() for one in asked]
    refused = [text for text in said if text != "answered"]
    assert len(refused) == 4
    assert all(text.startswith("after 1 s: One key may have 16 requests") for text in refused)
