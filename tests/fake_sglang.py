"""fake_sglang.py PORT [--die | --never]: prints a start-up log as SGLang does, then answers.

--die ends while starting; --never gets no further than loading. It starts a
child of its own, as SGLang starts its scheduler.
"""

from __future__ import annotations

import http.server
import json
import subprocess
import sys
import time

LOG = """\
[2026-11-22 18:41:47] server_args={'model_path': 'x'}
[2026-11-22 18:41:48 TP0] Init parallel begin.
[2026-11-22 18:41:48 TP1] Init parallel begin.
[2026-11-22 18:41:49 TP0] Load weight begin. avail mem=138.00 GB
Multi-thread loading shards:   0% Completed | 0/94\rMulti-thread loading shards:  50% Completed | 47/94
[2026-11-22 18:42:02 TP0] Load weight end. elapsed=80.10 s, type=Qwen3_5MoeForConditionalGeneration, avail mem=45.70 GB, mem usage=92.30 GB.
"""  # noqa: E501
POOLS = """\
[2026-11-22 18:42:02 TP0] Mamba Cache is allocated. max_mamba_cache_size: 196, conv_state size: 0.10GB, ssm_state size: 4.30GB intermediate_ssm_state_cache size: 3.50GB intermediate_conv_window_cache size: 0.01GB
[2026-11-22 18:42:02 TP0] KV Cache is allocated. dtype: torch.bfloat16, #tokens: 594000, K size: 4.25 GB, V size: 4.25 GB
[2026-11-22 18:42:03 TP0] Capture target decode CUDA graph begin. backend=full, avail mem=27.00 GB
[2026-11-22 18:42:20 TP0] Capture target decode CUDA graph end. elapsed=17.00 s, mem usage=1.20 GB, avail mem=25.80 GB.
[2026-11-22 18:42:20 TP0] max_total_num_tokens=594000, chunked_prefill_size=8192, max_prefill_tokens=16384, max_running_requests=39, context_len=262144, available_gpu_mem=25.80 GB
[2026-11-22 18:42:21] INFO:     Uvicorn running on http://127.0.0.1:30000 (Press CTRL+C to quit)
[2026-11-22 18:42:22] The server is fired up and ready to roll!
"""  # noqa: E501
ANSWERS = {
    "/health": {},
    "/v1/models": {"object": "list", "data": [{"id": "qwen", "object": "model"}]},
    "/server_info": {"version": "0.5.23", "max_running_requests": 39},
}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        known = self.path in ANSWERS
        body = json.dumps(ANSWERS.get(self.path, {})).encode()
        self.send_response(200 if known else 404)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: object) -> None:
        pass


def main() -> None:
    port, wish = int(sys.argv[1]), sys.argv[2:]
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    print(LOG, end="", flush=True)
    if "--die" in wish:
        print(
            "ValueError: Loaded weights leave no GPU memory for the KV cache under "
            "--mem-fraction-static=0.6. Raise --mem-fraction-static above 0.712 (minimum …)"
        )
        sys.exit(1)
    while "--never" in wish:
        time.sleep(1)
    print(POOLS, end="", flush=True)
    http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    main()
