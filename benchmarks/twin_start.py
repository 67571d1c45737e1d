"""How long until the twin answers: from `connect()` to its return, and to a whole chat answer.

python benchmarks/twin_start.py
"""

import json
import platform
import statistics
import subprocess
import sys

ROUNDS = 5
SCRIPT = """
import time
import kit
began = time.perf_counter()
endpoint = kit.connect("twin", quiet=True)
answers = time.perf_counter() - began
import json, urllib.request
body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
url = endpoint.base_url + "/v1/chat/completions"
asked = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
urllib.request.urlopen(asked).read()
print(answers, time.perf_counter() - began)
"""


def main() -> None:
    rounds = []
    for _ in range(ROUNDS):
        ran = subprocess.run([sys.executable, "-c", SCRIPT], check=True, capture_output=True)
        rounds.append([float(seconds) for seconds in ran.stdout.split()])
    answers, chat = (statistics.median(column) for column in zip(*rounds, strict=True))
    print(
        json.dumps(
            {
                "connect() until /v1/models has answered, s": round(answers, 2),
                "connect() until a first chat token has come, s": round(chat, 2),
                "by round, s": [[round(s, 2) for s in one] for one in rounds],
                "rounds": ROUNDS,
                "provenance": {
                    "kind": "measured",
                    "source": f"this machine, Python {platform.python_version()}; the chat answer "
                    "holds some 0.15 s of simulated prefill",
                },
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
