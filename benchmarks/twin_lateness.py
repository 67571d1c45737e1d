"""How late the twin's chunks come: arrival at a raw client, minus the end of their step.

python benchmarks/twin_lateness.py [--profile b200x8] [--streams 50] [--tokens 400]

The client is a plain epoll reader in this process, which stamps what it reads with the clock that
the twin itself goes by (CLOCK_MONOTONIC). The twin tells when each part was due in an SSE comment,
which it sends only on the header `x-kit-schedule`. Lateness holds the twin's own delay, the way
through the kernel, and the client's delay in reading.
"""

import argparse
import json
import platform
import re
import select
import socket
import statistics
import time

from kit.twin.process import start

ROUNDS = 5
DUE = re.compile(rb": due (\d+\.\d+)\n")


def request(port: int, tokens: int) -> bytes:
    body = json.dumps(
        {
            "model": "twin",
            "messages": [{"role": "user", "content": "What is 15% of 240?"}],
            "max_tokens": tokens,
            "ignore_eos": True,
            "stream": True,
        }
    ).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n"
        "content-type: application/json\r\nx-kit-schedule: 1\r\nconnection: close\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def lateness_ms(port: int, streams: int, tokens: int) -> list[float]:
    """One round: every stream to its end; how late each part came."""
    poll = select.epoll()
    open_sockets = {}
    for _ in range(streams):
        sock = socket.create_connection(("127.0.0.1", port))
        sock.setblocking(False)
        poll.register(sock, select.EPOLLIN)
        open_sockets[sock.fileno()] = sock
    for sock in open_sockets.values():
        sock.sendall(request(port, tokens))
    reads: list[tuple[float, bytes]] = []
    while open_sockets:
        for number, _ in poll.poll():
            data = open_sockets[number].recv(1 << 16)
            if data:
                reads.append((time.monotonic(), data))
            else:
                poll.unregister(number)
                open_sockets.pop(number).close()
    return [(at_s - float(due)) * 1e3 for at_s, data in reads for due in DUE.findall(data)]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--profile", default="b200x8", help="no MTP: every stream in every step")
    parser.add_argument("--streams", type=int, default=50)
    parser.add_argument("--tokens", type=int, default=400)
    args = parser.parse_args()
    twin = start(args.profile)
    port = int(twin.url.rpartition(":")[2])
    lateness_ms(port, 2, 50)  # warm-up
    rounds = [sorted(lateness_ms(port, args.streams, args.tokens)) for _ in range(ROUNDS)]
    twin.close()
    middle = {
        "mean_ms": statistics.median(statistics.fmean(one) for one in rounds),
        "median_ms": statistics.median(one[len(one) // 2] for one in rounds),
        "p99_ms": statistics.median(one[int(len(one) * 0.99)] for one in rounds),
        "max_ms": statistics.median(one[-1] for one in rounds),
    }
    print(
        json.dumps(
            {
                "profile": args.profile,
                "streams": args.streams,
                "parts_a_round": len(rounds[0]),
                "rounds": ROUNDS,
                **{name: round(value, 3) for name, value in middle.items()},
                "mean_ms_by_round": [round(statistics.fmean(one), 3) for one in rounds],
                "provenance": {
                    "kind": "measured",
                    "source": f"this machine, Python {platform.python_version()}, client beside "
                    "the twin",
                },
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
