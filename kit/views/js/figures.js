// The figures under an answer: what is counted, in which unit, and what a word of the server means.
import { h } from "./dom.js";

const REASONS = {
  stop: ["finished", "the model ended its answer by itself"],
  length: ["cut by max_tokens", "the token budget ran out before the model was done"],
  tool_calls: ["asks for a tool", "the model waits for a tool's result"],
  abort: ["aborted", "the server gave the request up"],
  stopped: ["stopped by you", "the request was cancelled; the server no longer generates"],
};

export function seconds(ms) {
  if (ms == null) return "–";
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(2)} s`;
}

export function speed(rate) {
  return rate == null ? "–" : rate < 100 ? rate.toFixed(1) : Math.round(rate).toLocaleString("en-US");
}

const count = (n, exact) => (n == null ? "–" : (exact ? "" : "≈ ") + n.toLocaleString("en-US"));

export class Figures {
  constructor() {
    this.values = {};
    const row = (key, label, title) => {
      this.values[key] = h("dd", {}, "–");
      return h(`div.kit-figure.kit-figure-${key}`, { title }, h("dt", {}, label), this.values[key]);
    };
    this.element = h(
      "dl.kit-figures",
      {},
      row("ttft", "TTFT", "time to first token: from asking to the first token"),
      row("rate", "tokens/s", "tokens generated per second, after the first"),
      row("thinking", "thinking tokens", "tokens spent on thinking"),
      row("answer", "answer tokens", "tokens of the answer"),
      row("finish", "finish", "why the server stopped"),
    );
  }

  show({ ttft_ms, rate, thinking_tokens, answer_tokens, exact, finish }) {
    this.values.ttft.textContent = seconds(ttft_ms);
    this.values.rate.textContent = speed(rate);
    this.values.thinking.textContent = count(thinking_tokens, exact);
    this.values.answer.textContent = count(answer_tokens, exact);
    const [word, meaning] = REASONS[finish] ?? [finish || "–", ""];
    this.values.finish.textContent = word;
    this.values.finish.parentElement.title = meaning || "why the server stopped";
    this.element.classList.toggle("kit-short", finish === "length");
  }
}
