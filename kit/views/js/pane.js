// One answer as it streams: its thinking, the answer, what went wrong, the figures.
import { clipped, h, throttled } from "./dom.js";
import { Figures } from "./figures.js";
import { GrowingMarkdown } from "./markdown.js";

const LIVE = new Set(["waiting", "thinking", "answering"]);
let serial = 0;

export class Pane {
  #text = { thinking: "", answer: "" };
  #snapshot = {};
  #chosen = null; // the reader's own word on folding; null: follow the stream
  #paint = throttled(() => this.#draw());

  constructor({ title }) {
    const id = `kit-thoughts-${++serial}`;
    this.badge = h("span.kit-badge");
    this.title = h("h3.kit-title", {}, title);
    this.author = h("p.kit-author");
    this.foldLabel = h("span.kit-fold-label");
    this.foldCount = h("span.kit-fold-count");
    this.fold = h(
      "button.kit-fold",
      { type: "button", "aria-expanded": "false", "aria-controls": id, onclick: () => this.#toggle() },
      h("span.kit-chevron", { "aria-hidden": "true" }),
      this.foldLabel,
      this.foldCount,
    );
    this.thoughts = h("div.kit-thoughts.kit-markdown", { id, tabindex: "0", "aria-label": "Thinking" });
    this.thinkingBox = h("section.kit-thinking", { hidden: true }, this.fold, this.thoughts);
    this.answer = h("div.kit-answer.kit-markdown", { "aria-label": "Answer" });
    this.tools = h("div.kit-tools");
    this.status = h("p.kit-status", { role: "status" });
    this.error = h("div.kit-error", { role: "alert", hidden: true });
    this.figures = new Figures();
    this.source = h("p.kit-source");
    this.element = h(
      "article.kit-pane",
      { "aria-label": title },
      h("header.kit-pane-head", {}, h("div", {}, this.title, this.author), this.badge),
      this.thinkingBox,
      this.answer,
      this.tools,
      this.error,
      this.status,
      h("footer.kit-foot", {}, this.figures.element, this.source),
    );
    this.markdown = { thinking: new GrowingMarkdown(this.thoughts), answer: new GrowingMarkdown(this.answer) };
  }

  get live() {
    return LIVE.has(this.#snapshot.status);
  }

  // Everything the kernel knows of this pane.
  restore(snapshot) {
    if (snapshot.status === "waiting" && this.#snapshot.status !== "waiting") this.#chosen = null;
    this.#snapshot = { ...snapshot };
    this.#text = { thinking: snapshot.thinking, answer: snapshot.answer };
    this.#paint();
  }

  // What came since.
  append({ t, a, n, r }) {
    if (t) this.#text.thinking += t;
    if (a) this.#text.answer += a;
    const s = this.#snapshot;
    [s.thinking_tokens, s.answer_tokens] = n;
    [s.ttft_ms, s.rate] = r;
    s.status = this.#text.answer.trim() ? "answering" : "thinking";
    this.#paint();
  }

  #toggle() {
    this.#chosen = this.fold.getAttribute("aria-expanded") !== "true";
    this.#draw();
  }

  #draw() {
    const s = this.#snapshot;
    const { thinking, answer } = this.#text;
    const live = this.live;
    this.element.dataset.status = s.status;
    this.answer.setAttribute("aria-busy", String(live));
    const moreThinking = this.#drawThinking(thinking, s, live);
    const moreAnswer = this.markdown.answer.render(answer, !live);
    if (moreThinking || moreAnswer) this.#paint(); // more than one frame draws
    this.#drawTools(s.tools ?? []);
    this.error.hidden = !s.error;
    if (s.error) this.error.replaceChildren(h("strong", {}, clipped(s.error[0])), h("span", {}, clipped(s.error[1])));
    this.status.textContent = statusText(s);
    this.figures.show(s);
    this.source.textContent = s.source ?? "";
    if (s.title) {
      this.title.textContent = s.title;
      this.element.setAttribute("aria-label", s.title);
    }
    this.author.textContent = s.author ?? "";
    this.badge.textContent = s.kind ?? "";
    this.badge.title = s.source ?? "";
    this.badge.className = `kit-badge kit-${s.kind}`;
  }

  // True where some is left to draw.
  #drawThinking(thinking, s, live) {
    const thinks = Boolean(thinking.trim());
    this.thinkingBox.hidden = !thinks;
    if (!thinks) return this.markdown.thinking.render("", true);
    const running = live && s.status === "thinking";
    const open = this.#chosen ?? running;
    this.fold.setAttribute("aria-expanded", String(open));
    this.foldLabel.textContent = running ? "Thinking…" : "Thinking";
    this.foldCount.textContent = s.thinking_tokens ? `${s.exact ? "" : "≈ "}${s.thinking_tokens.toLocaleString("en-US")} tokens` : "";
    this.thinkingBox.classList.toggle("kit-running", running);
    if (!open) return false;
    const box = this.thoughts;
    const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 24;
    const more = this.markdown.thinking.render(thinking, !running);
    if (running && atEnd) box.scrollTop = box.scrollHeight;
    box.classList.toggle("kit-scrolled", running && box.scrollTop > 2);
    return more;
  }

  #drawTools(calls) {
    this.tools.replaceChildren(
      ...calls.map(({ name, arguments: args }) =>
        h("div.kit-tool", {}, h("span.kit-tool-label", {}, "calls"), h("code", {}, clipped(`${name}(${args})`))),
      ),
    );
  }
}

function statusText(s) {
  if (s.status === "waiting") return "waiting for the first token…";
  if (s.status === "idle") return "nothing asked yet";
  if (s.status === "stopped") return "Stopped. What had arrived stays.";
  if (s.status === "done") return s.remark ?? "";
  return "";
}
