"""One twin under steady load: memory, lateness and losses, minute by minute.

python benchmarks/soak.py [--minutes 30] [--streams 500]

Every stream asks again as soon as its answer has ended. An answer is whole if it ends with a
finish reason and `[DONE]`, and the server's count of its tokens is what was asked for. Lateness is
that of benchmarks/twin_lateness.py: arrival here, minus the end of the chunk's step.
"""

import argparse
import json
import re
import select
import socket
import time
from dataclasses import dataclass, field

import psutil
from twin_lateness import DUE, request

from kit.twin.process import start

PROFILE, SPEED, TOKENS = "35b-bf16-xeonx3", 2.0, 300
COUNT = re.compile(rb'"completion_tokens": ?(\d+)')
FINISH = re.compile(rb'"finish_reason": ?"(\w+)"')


@dataclass
class Minute:
    late_ms: list[float] = field(default_factory=list)
    whole: int = 0
    lost: list[str] = field(default_factory=list)


class Soak:
    """`streams` sockets on `port`, each asking again at its answer's end."""

    def __init__(self, port: int, streams: int) -> None:
        self._port = port
        self._poll = select.epoll()
        self._open: dict[int, tuple[socket.socket, bytearray]] = {}
        self.minute = Minute()
        self.asking = True
        for _ in range(streams):
            self._ask()

    def _ask(self) -> None:
        sock = socket.create_connection(("127.0.0.1", self._port))
        sock.sendall(request(self._port, TOKENS))
        sock.setblocking(False)
        self._poll.register(sock, select.EPOLLIN)
        self._open[sock.fileno()] = (sock, bytearray())

    def read(self, wait_s: float) -> None:
        for number, _ in self._poll.poll(wait_s):
            sock, kept = self._open[number]
            try:
                data = sock.recv(1 << 16)
            except OSError as problem:
                data = b""
                self.minute.lost.append(str(problem))
            now_s = time.monotonic()
            if data:
                self.minute.late_ms += [(now_s - float(due)) * 1e3 for due in DUE.findall(data)]
                kept += data
                del kept[:-4096]  # the end says whether the answer is whole
                continue
            self._poll.unregister(number)
            del self._open[number]
            sock.close()
            self._judge(bytes(kept))
            if self.asking:
                self._ask()

    def _judge(self, end: bytes) -> None:
        count, finish = COUNT.findall(end), FINISH.findall(end)
        if b"data: [DONE]" in end and finish and count and int(count[-1]) == TOKENS:
            self.minute.whole += 1
        else:
            self.minute.lost.append(repr(end[-120:]))

    @property
    def open(self) -> int:
        return len(self._open)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--streams", type=int, default=500)
    args = parser.parse_args()
    twin = start(PROFILE, SPEED)
    process = psutil.Process(twin.pid)
    soak = Soak(int(twin.url.rpartition(":")[2]), args.streams)
    rows, begun_s = [], time.monotonic()
    try:
        while time.monotonic() - begun_s < args.minutes * 60:
            soak.minute, until_s = Minute(), time.monotonic() + 60
            while time.monotonic() < until_s:
                soak.read(0.5)
            rows.append(row(len(rows) + 1, soak, process))
            print(json.dumps(rows[-1]), flush=True)
        soak.asking, soak.minute = False, Minute()
        while soak.open:
            soak.read(5)
    finally:
        twin.close()
    whole = sum(one["whole"] for one in rows) + soak.minute.whole
    lost = sum(one["lost"] for one in rows) + len(soak.minute.lost)
    print(f"{args.streams} streams, {args.minutes:g} minutes: {whole:,} answers whole, {lost} not")
    print("measured · this machine, the twin on 127.0.0.1")


def row(number: int, soak: Soak, process: psutil.Process) -> dict[str, float]:
    late = sorted(soak.minute.late_ms)
    for problem in soak.minute.lost[:3]:
        print("not whole:", problem)
    return {
        "minute": number,
        "rss_mb": round(process.memory_info().rss / 2**20, 1),
        "load": round(psutil.getloadavg()[0], 1),
        "cpu_s": round(sum(process.cpu_times()[:2]), 1),
        "chunks": len(late),
        "median_ms": round(late[len(late) // 2], 2),
        "p99_ms": round(late[int(len(late) * 0.99)], 2),
        "max_ms": round(late[-1], 1),
        "whole": soak.minute.whole,
        "lost": len(soak.minute.lost),
    }


if __name__ == "__main__":
    main()
