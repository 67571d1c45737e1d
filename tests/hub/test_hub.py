"""A room on one machine: five learners log in, run lesson 04 at once, and are culled.

The hub, its proxy and the learners' servers are the real ones, of deploy/jupyterhub, under a base
URL of their own. `make test-hub` installs them in an environment of their own.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from .hub import PASSWORD, Hub, memory_mb
from .learner import Learner, Ran

LESSON = "04_think_or_answer.ipynb"
NAMES = ("anna", "ben", "carol", "dilek", "emeka")
CHROMIUM = "/usr/bin/chromium"
LINES = "import time\nfor _ in range(100): print(time.time(), flush=True), time.sleep(0.02)"
WORK = "import os, time\nwhile not os.path.exists('enough'): print(1), time.sleep(0.5)"
ALL_RAN = """() => [...window.jupyterapp.shell.currentWidget.content.model.cells].every(
  (one) => one.type !== 'code' || !one.sharedModel.source.trim()
    || (one.executionCount !== null && one.executionState !== 'running'))"""

pytestmark = pytest.mark.slow


async def started(hub: Hub, name: str) -> None:
    async with Learner(hub.url, name) as learner:
        await learner.log_in(PASSWORD)
        await learner.start()


async def lesson(hub: Hub, name: str) -> tuple[float, float, list[Ran]]:
    """Log in and run the lesson. Returns the seconds of the start and of the cells, and these."""
    async with Learner(hub.url, name) as learner:
        assert await learner.log_in("not the password") == 403
        assert await learner.log_in(PASSWORD) == 200
        await learner.start()
        cells = await learner.open(LESSON)
        began_s = time.monotonic()
        ran = [await learner.run(source) for source in cells]
        return learner.started_s, time.monotonic() - began_s, ran


def test_five_learners_run_a_lesson_at_once(hub: Hub) -> None:
    async def together() -> list[tuple[float, float, list[Ran]]]:
        return await asyncio.gather(*(lesson(hub, name) for name in NAMES))

    began_s = time.monotonic()
    found = asyncio.run(together())
    for name, (started_s, took_s, ran) in zip(NAMES, found, strict=True):
        assert len(ran) > 20
        assert not [one.error for one in ran if one.error], name
        used = memory_mb(hub.processes(name))
        print(f"\n{name}: server after {started_s:.0f} s, {len(ran)} cells in {took_s:.0f} s, "
              f"{used:.0f} MB", end="")  # fmt: skip
    print(f"\nall: {time.monotonic() - began_s:.0f} s, {memory_mb(hub.processes()):.0f} MB")


def test_the_proxy_holds_no_stream_back(hub: Hub) -> None:
    """A hundred lines, 20 ms apart: by the proxy, and from the learner's server itself."""

    async def lags(learner: Learner) -> list[tuple[float, float]]:
        """(when a line came, how long it was under way), in seconds."""
        await learner.open(LESSON)
        ran = await learner.run(LINES)
        return [(at, at - float(line)) for at, text in ran.prints for line in text.split()]

    async def both() -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
        async with Learner(hub.url, "anna") as learner:
            await learner.log_in(PASSWORD)
            await learner.start()
            proxied = await lags(learner)
            asked = await learner.run("import os; print(os.environ['JUPYTERHUB_SERVICE_URL'])")
            learner.server = asked.prints[0][1].strip()
            return proxied, await lags(learner)

    for way, found in zip(("by the proxy", "directly"), asyncio.run(both()), strict=True):
        assert len(found) == 100
        ms = sorted(lag * 1e3 for _, lag in found)
        print(f"\n{way}: lag median {statistics.median(ms):.0f} ms, max {ms[-1]:.0f} ms", end="")
        assert statistics.median(ms) < 250
        assert found[-1][0] - found[0][0] > 1.5  # they took two seconds to be written


@pytest.mark.skipif(not Path(CHROMIUM).exists(), reason=f"no chromium at {CHROMIUM}")
def test_widgets_and_links_stay_below_the_base_url(hub: Hub) -> None:
    from playwright.sync_api import sync_playwright

    asyncio.run(started(hub, "anna"))
    home = f"{hub.url}user/anna/"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        asked, failed, said = [], [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("response", lambda one: failed.append(one.url) if one.status >= 400 else None)
        page.on("console", lambda one: said.append(one.text) if one.type == "error" else None)
        page.goto(f"{hub.url}hub/login?next=%2Froom%2Fuser%2Fanna%2Flab%2Ftree%2F{LESSON}")
        page.get_by_label("Username").fill("anna")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_function(
            "window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel"
            "?.connectionStatus === 'connected'",
            timeout=60_000,
        )
        page.evaluate("void window.jupyterapp.commands.execute('notebook:run-all-cells')")
        page.wait_for_function(ALL_RAN, timeout=90_000)
        assert page.locator(".kit-stream [data-status=done]").count() > 1
        assert page.locator(".jp-mod-error").count() == 0
        assert page.locator(".jp-toast, .Toastify__toast").count() == 0  # no news, no question
        links = page.eval_on_selector_all(
            ".jp-Notebook a[href]",
            "all => all.map(one => one.href)",
        )
        browser.close()
    assert not failed
    assert not said
    outside = [url for url in asked if url.startswith("http") and not url.startswith(hub.url)]
    assert not outside
    own = [url for url in asked if url.startswith(hub.url) and "/user/" in url]
    assert all(url.startswith(home) for url in own)
    ours = [url for url in links if urlsplit(url).netloc == urlsplit(home).netloc]
    assert ours
    assert all(url.startswith(home) for url in ours)


def test_who_is_away_is_culled_and_who_works_is_not(hub: Hub) -> None:
    def served() -> list[str]:
        return [name for name, one in hub.users().items() if one["servers"]]

    async def work() -> Ran:
        async with Learner(hub.url, "anna") as learner:
            await learner.log_in(PASSWORD)
            await learner.start()
            await learner.open(LESSON)
            await started(hub, "ben")
            working = asyncio.create_task(learner.run(WORK))
            culler = hub.cull(timeout_s=5)
            try:
                await _until(lambda: served() == ["anna"])
                await asyncio.sleep(6)
                assert served() == ["anna"]
                (hub.folder / "anna" / "course" / "enough").touch()
                ran = await working
                await _until(lambda: not served())
                return ran
            finally:
                culler.terminate()
                culler.wait(10)

    assert not asyncio.run(work()).error
    asyncio.run(_until(lambda: not any(hub.processes(name) for name in NAMES)))
    assert (hub.folder / "ben" / "course" / LESSON).is_file()  # their work stays


async def _until(true: Callable[[], bool], within_s: float = 60) -> None:
    until_s = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < until_s
        await asyncio.sleep(0.5)
