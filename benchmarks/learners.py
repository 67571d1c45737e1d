"""Two hundred learners on one twin, and long prompts at once: TTFT beside what the scheduler says.

python benchmarks/learners.py [--learners 50:8,200:20,200:8] [--prompts-only]

A scripted learner asks what lessons 04 to 07 ask, eighteen requests, and thinks in between
(exponential; 200:8 are two hundred who think 8 s on average, and a person takes longer): chats
with and without thinking, a picture twice, tool calls with their results, and a small benchmark,
eight requests four at a time. TTFT is measured here by the wall clock, from sending a request to
its first event. Beside it stands what the same scheduler gives in virtual time for the same
requests at the same moments; the difference is what the twin, the client and the machine add. The
twin has a process of its own; CPU and memory are its.

Long prompts: random text of some 10,500 tokens, so many at once. "on the loop" is the same twin,
its texts tokenized on the event loop, between the steps, instead of in threads.
"""

import argparse
import asyncio
import base64
import io
import json
import os
import platform
import random
import re
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from statistics import fmean

import psutil

from kit.course.drawings import stills
from kit.hardware import profile
from kit.scheduler import Request, Scheduler
from kit.sizing import plan
from kit.twin.tokenizer import vocabulary

PROFILE = "h200x8"
USAGE = re.compile(rb'"prompt_tokens": ?(\d+).*?"completion_tokens": ?(\d+)')
IMAGE = re.compile(rb'"image_tokens": ?(\d+)')
ON_LOOP = (
    "import sys; from kit.twin import process, workers; workers.LONG_TEXT = 10**9; "
    f"sys.exit(process.main({{'profile': {PROFILE!r}, 'port': 0}}, True))"
)
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"location": {"type": "string"}}},
    },
}


@dataclass
class Asked:
    """One request: when it was sent and its first event came, on the monotonic clock."""

    sent_s: float
    first_s: float = 0.0
    prompt: int = 0
    output: int = 0
    image: int = 0
    whole: bool = False


class Class:
    """`learners` on the twin at `port`."""

    def __init__(self, port: int, learners: int, think_s: float) -> None:
        self.port = port
        self.learners = learners
        self.think_s = think_s
        self.asked: list[Asked] = []
        self.running = self.most = 0
        receipt = io.BytesIO()
        stills.receipt().picture.save(receipt, "PNG")
        self.picture = f"data:image/png;base64,{base64.b64encode(receipt.getvalue()).decode()}"

    async def ask(self, messages: list[dict[str, object]], thinking: bool, **more: object) -> bytes:
        body = {"model": "twin", "messages": messages, "stream": True, **more}
        body["stream_options"] = {"include_usage": True}
        body["chat_template_kwargs"] = {"enable_thinking": thinking}
        content = json.dumps(body).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:{self.port}\r\n"
        head += "content-type: application/json\r\nconnection: close\r\n"
        head += f"content-length: {len(content)}\r\n\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=2**20)
        one = Asked(time.monotonic())
        self.asked.append(one)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            writer.write(head.encode() + content)
            answer = bytearray()
            while data := await reader.read(2**16):
                answer += data
                if not one.first_s and b"data: " in answer:
                    one.first_s = time.monotonic()
        finally:
            self.running -= 1
            writer.close()
        counts = USAGE.findall(answer)
        one.whole = b"data: [DONE]" in answer and bool(counts)
        if one.whole:
            one.prompt, one.output = map(int, counts[-1])
            one.image = int((IMAGE.findall(answer) or [b"0"])[-1])
        return bytes(answer)

    async def learner(self, number: int) -> None:
        draw = random.Random(number)

        async def think() -> None:
            await asyncio.sleep(draw.expovariate(1 / self.think_s))

        await asyncio.sleep(draw.uniform(0, self.think_s))
        for question, thinking in (
            ("What is 15% of 240?", True),
            ("What is 15% of 240?", False),
            ("What is multi-token prediction?", False),
            ("What is multi-token prediction?", True),
        ):
            await self.ask([_user(question)], thinking)
            await think()
        see = [
            {"type": "image_url", "image_url": {"url": self.picture}},
            {"type": "text", "text": "Read this receipt as JSON."},
        ]
        for thinking in (True, False):
            await self.ask([_user(see)], thinking)
            await think()
        for place in ("Beijing", "Atlantis"):
            await self.call(place)
            await think()
        gate = asyncio.Semaphore(4)

        async def measured() -> None:
            async with gate:
                text = " ".join(str(draw.random()) for _ in range(40))
                await self.ask([_user(text)], False, max_tokens=128, ignore_eos=True)

        await asyncio.gather(*(measured() for _ in range(8)))

    async def call(self, place: str) -> None:
        ask = [_user(f"What's the weather in {place}?")]
        await self.ask(ask, True, tools=[WEATHER])
        call = {"id": "call_1", "type": "function"}
        call["function"] = {"name": "get_weather", "arguments": json.dumps({"location": place})}
        result = {"role": "tool", "tool_call_id": "call_1", "content": "21 degrees, clear"}
        ask += [{"role": "assistant", "content": "", "tool_calls": [call]}, result]
        await self.ask(ask, True, tools=[WEATHER])

    @property
    def ttft_ms(self) -> list[float]:
        """By the wall clock, of the answers that are whole."""
        return [(one.first_s - one.sent_s) * 1e3 for one in self.asked if one.whole]

    async def run(self) -> None:
        await asyncio.gather(*(self.learner(number) for number in range(self.learners)))


def _user(content: object) -> dict[str, object]:
    return {"role": "user", "content": content}


def scheduled_ms(asked: list[Asked]) -> list[float]:
    """TTFT of these requests by the same scheduler in virtual time, in the order given."""
    scheduler, began_s = Scheduler.of(profile(PROFILE)), asked[0].sent_s
    for number, one in enumerate(asked):
        at_s = one.sent_s - began_s
        scheduler.submit(Request(str(number), one.prompt, one.output, at_s, one.image))
    now_s, first_s = 0.0, {}
    while len(first_s) < len(asked):
        step = scheduler.step(now_s)
        if step is None:
            wake_s = scheduler.wake_s()
            assert wake_s is not None
            now_s = max(now_s, wake_s)
            continue
        now_s += step.duration_s
        for rid, _, _ in step.emissions:
            first_s.setdefault(int(rid), now_s)
    return [(first_s[n] - (one.sent_s - began_s)) * 1e3 for n, one in enumerate(asked)]


def at(values: list[float], share: float) -> float:
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


class Twin:
    """A twin in a process of its own, and what it uses."""

    def __init__(self, on_loop: bool = False) -> None:
        code = ["-c", ON_LOOP] if on_loop else ["-m", "kit.twin", "--parent-stdin"]
        code += [] if on_loop else ["--profile", PROFILE]
        self._process = subprocess.Popen(
            [sys.executable, *code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.url = json.loads(self._process.stdout.readline())["url"]
        self.port = int(self.url.rpartition(":")[2])
        self._seen = psutil.Process(self._process.pid)

    def __enter__(self) -> "Twin":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stdin.close()
        self._process.wait(10)

    @property
    def cpu_s(self) -> float:
        return sum(self._seen.cpu_times()[:2])

    @property
    def rss_mib(self) -> float:
        return self._seen.memory_info().rss / 2**20


async def _busiest(twin: Twin, stop: asyncio.Event) -> float:
    """The largest share of one core that the twin used over two seconds."""
    most, before_s, at_s = 0.0, twin.cpu_s, time.monotonic()
    while not stop.is_set():
        await asyncio.sleep(2)
        now_s, cpu_s = time.monotonic(), twin.cpu_s
        most = max(most, (cpu_s - before_s) / (now_s - at_s))
        before_s, at_s = cpu_s, now_s
    return most


async def taught(learners: int, think_s: float) -> str:
    with Twin() as twin:
        course = Class(twin.port, learners, think_s)
        await course.ask([_user("Hi")], False)
        course.asked.clear()
        course.most = 0
        began_s, used_s, stop = time.monotonic(), twin.cpu_s, asyncio.Event()
        client_s = time.process_time()
        watching = asyncio.create_task(_busiest(twin, stop))
        await course.run()
        took_s = time.monotonic() - began_s
        stop.set()
        busiest = await watching
        used_s, client_s = twin.cpu_s - used_s, time.process_time() - client_s
        whole = [one for one in course.asked if one.whole]
        got, said = course.ttft_ms, scheduled_ms(whole)
        tokens = sum(one.output for one in whole)
        return (
            f"{learners:>8} {think_s:>3.0f} s {len(whole):>5} of {len(course.asked):<5} "
            f"{course.most:>7} {tokens / took_s:>8,.0f} "
            f"{at(got, 0.5):>7,.0f} {at(said, 0.5):>7,.0f} "
            f"{at(got, 0.99):>8,.0f} {at(said, 0.99):>8,.0f} {used_s / took_s:>8.0%} "
            f"{busiest:>8.0%} {twin.rss_mib:>8,.0f} {client_s / took_s:>7.0%}"
        )


async def prompts(at_once: int, number: int, on_loop: bool) -> str:
    """Long prompts, as soon as one of those before has its answer."""
    draw = random.Random(1)
    texts = [
        vocabulary().decode([draw.randrange(50_000) for _ in range(10_000)]) for _ in range(number)
    ]
    gate = asyncio.Semaphore(at_once)
    with Twin(on_loop) as twin:
        course = Class(twin.port, at_once, 0)

        async def one(text: str) -> None:
            async with gate:
                await course.ask([_user(text)], False, max_tokens=32, ignore_eos=True)

        await course.ask([_user("Hi")], False)
        course.asked.clear()
        used_s = twin.cpu_s
        await asyncio.gather(*map(one, texts))
        used_s = twin.cpu_s - used_s
    got, said = course.ttft_ms, scheduled_ms(course.asked)
    assert all(one.whole for one in course.asked)
    return (
        f"{at_once:>8} {number:>7} {'on the loop' if on_loop else 'in threads':<12} "
        f"{fmean(one.prompt for one in course.asked):>8,.0f} {fmean(got):>8,.0f} "
        f"{fmean(said):>8,.0f} {max(got):>8,.0f} {max(said):>8,.0f} {used_s / number * 1e3:>9.0f}"
    )


def _learners(text: str) -> tuple[int, float]:
    number, _, think_s = text.partition(":")
    return int(number), float(think_s or 8)


async def rows(head: str, made: list[Callable[[], Awaitable[str]]]) -> None:
    print(head, flush=True)
    for one in made:
        print(await one(), flush=True)
    print(flush=True)


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--learners", default="50:8,200:20,200:8")
    parser.add_argument("--prompts-only", action="store_true")
    args = parser.parse_args()
    await rows(
        "long random prompts: TTFT (ms)\n"
        " at once  number tokenized      tokens     mean    model      max    model  CPU ms each",
        [
            lambda n=n, number=number, on_loop=on_loop: prompts(n, number, on_loop)
            for n, number in ((1, 4), (4, 4), (32, 64))
            for on_loop in (True, False)
        ],
    )
    if not args.prompts_only:
        await rows(
            "learners of lessons 04 to 07: TTFT (ms), the twin's CPU in cores and memory in MiB\n"
            "learners think  answers whole at most tokens/s  median   model      p99    model  "
            "    CPU  busiest      RSS  client",
            [lambda n=n: taught(*n) for n in map(_learners, args.learners.split(","))],
        )
    cap = plan(profile(PROFILE)).max_running_requests
    print(
        f"{PROFILE} runs {cap} requests at once; what is asked beyond that queues, in the model too"
    )
    load = f"load average {os.getloadavg()[0]:.1f} at the end"
    print(f"measured · {os.cpu_count()} cores, Python {platform.python_version()}, {load}")
    print(f"model: simulated, {PROFILE}, the same scheduler in virtual time")


if __name__ == "__main__":
    asyncio.run(main())
