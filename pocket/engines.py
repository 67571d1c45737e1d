"""The exported model in two engines that share no code: transformers and llama.cpp. Both greedy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

END = "<|im_end|>"
MAX_TOKENS = 400  # longer than anything it was taught to say


class Transformers:
    """In float32, on the CPU."""

    name = "transformers"

    def __init__(self, folder: Path) -> None:
        import torch
        from transformers import PreTrainedTokenizerFast, Qwen3_5ForConditionalGeneration

        self._torch = torch
        self.tokenizer: Any = PreTrainedTokenizerFast.from_pretrained(folder)
        loaded = Qwen3_5ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
        self.model: Any = loaded.eval()

    def complete(self, prompt: str, max_tokens: int = MAX_TOKENS) -> str:
        ids = self.tokenizer(prompt).input_ids
        with self._torch.no_grad():
            out = self.model.generate(
                self._torch.tensor([ids]),
                max_new_tokens=max_tokens,
                do_sample=False,
                eos_token_id=self.tokenizer.eos_token_id,
                pad_token_id=self.tokenizer.pad_token_id,
            )
        text = self.tokenizer.decode(out[0, len(ids) :], skip_special_tokens=False)
        return str(text).removesuffix(END)


class LlamaCpp:
    """The GGUF, in this process. float16 weights, float32 sums."""

    name = "llama.cpp"

    def __init__(self, gguf: Path, context_tokens: int, threads: int = 1) -> None:
        import xllamacpp

        params = xllamacpp.CommonParams()
        params.model.path = str(gguf)
        params.n_ctx = context_tokens
        params.n_parallel = 1
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
        params.verbosity = -1
        self._server = xllamacpp.Server(params)

    def complete(self, prompt: str, max_tokens: int = MAX_TOKENS) -> str:
        asked = {
            "prompt": prompt,
            "n_predict": max_tokens,
            "temperature": 0.0,
            "stop": [END],
            "cache_prompt": False,
        }
        return str(self._server.handle_completions(asked)["choices"][0]["text"])
