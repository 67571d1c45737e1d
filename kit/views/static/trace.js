// A tool trace: a row for each thing that happened, with its bar on the common clock.
//
// From the kernel: the synced trait `state`, and messages {row, text, now_s} with what a row has
// grown by. To the kernel: {kind: "stop"}. All text is put in as text, never as HTML.

const LABELS = { thinking: "thinks", call: "calls", tool: "runs", said: "says", answer: "answers", limit: "stops" };
const SHOWN = 20_000; // characters of a row; while it grows, its last ones
const SHORTEST = 0.6; // per cent of the clock's width that a bar has at least

function h(spec, attributes = {}, ...children) {
  const [tag, ...classes] = spec.split(".");
  const element = document.createElement(tag);
  element.className = classes.join(" ");
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== false && value != null) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

// An answer: code between fences, `code`, **bold**; the rest as it is.
function formatted(text) {
  return text.split(/^```.*$/m).flatMap((part, i) => {
    if (i % 2) return [h("pre", {}, h("code", {}, part.replace(/^\n|\n$/g, "")))];
    return part.split(/\n{2,}/).filter((p) => p.trim()).map((paragraph) => {
      const quote = paragraph.trimStart().startsWith("> ");
      const words = quote ? paragraph.replace(/^\s*> ?/gm, "") : paragraph;
      return h(quote ? "blockquote" : "p", {}, ...words.trim().split(/(`[^`\n]+`|\*\*[^*\n]+\*\*)/).map((s) => {
        if (/^`.+`$/.test(s)) return h("code", {}, s.slice(1, -1));
        return /^\*\*.+\*\*$/.test(s) ? h("strong", {}, s.slice(2, -2)) : s;
      }));
    });
  });
}

function clipped(text, open) {
  if (text.length <= SHOWN) return text;
  return open ? `…${text.slice(-SHOWN)}` : `${text.slice(0, SHOWN)}… (${text.length.toLocaleString("en-US")} characters)`;
}

class RowView {
  constructor() {
    this.label = h("span.kit-trace-label");
    this.title = h("code.kit-trace-title");
    this.took = h("span.kit-trace-took");
    this.bar = h("span.kit-trace-bar");
    this.track = h("span.kit-trace-track", { "aria-hidden": "true" }, this.bar);
    this.text = h("div.kit-trace-text");
    this.element = h("li.kit-trace-row", {}, this.label, h("div.kit-trace-body", {}, this.title, this.text), this.track, this.took);
  }

  show(row, timed) {
    const open = row.end_s == null;
    Object.assign(this.element.dataset, { kind: row.kind, open, problem: row.problem });
    const finished = row.kind === "tool" && !open;
    this.label.textContent = row.problem || (finished ? "result" : LABELS[row.kind] ?? row.kind);
    const named = row.kind === "tool" || row.kind === "call" || row.kind === "limit";
    this.title.hidden = !named;
    this.title.textContent = row.kind === "call" ? `${row.title}(${row.text})` : row.title;
    this.text.hidden = row.kind === "call" || row.kind === "limit";
    const text = clipped(row.text, open);
    if (row.kind === "answer" || row.kind === "said") this.text.replaceChildren(...formatted(text));
    else this.text.textContent = row.kind === "tool" && open ? "…" : text.trim();
    this.track.hidden = !timed;
    if (open) this.text.scrollTop = this.text.scrollHeight;
  }

  // Where its bar stands on a clock of `total` seconds, and how long it took.
  place(row, total, now, timed) {
    const end = row.end_s ?? now;
    const share = (seconds) => `${Math.min(100, (100 * seconds) / total)}%`;
    this.bar.style.left = share(row.start_s);
    this.bar.style.width = `max(${SHORTEST}%, ${share(Math.max(0, end - row.start_s))})`;
    this.took.textContent = timed ? seconds(end - row.start_s) : "";
  }
}

function seconds(value) {
  return value < 0.1 ? `${Math.round(1000 * Math.max(0, value))} ms` : `${value.toFixed(1)} s`;
}

// A widget's label: the second of a name in a page is "name 2". No two widgets carry the same.
function label(name) {
  const counts = (window.kitLabels ??= {});
  counts[name] = (counts[name] ?? 0) + 1;
  return counts[name] > 1 ? `${name} ${counts[name]}` : name;
}

function render({ model, el }) {
  const question = h("p.kit-trace-question");
  const badge = h("span.kit-trace-badge");
  const stop = h("button.kit-trace-stop", { type: "button", onclick: () => model.send({ kind: "stop" }) }, "Stop");
  const clock = h("span.kit-trace-clock");
  const list = h("ol.kit-trace-rows", { "aria-label": "What happened, in order" });
  const error = h("div.kit-trace-error", { role: "alert" });
  const status = h("p.kit-trace-status", { role: "status" });
  const foot = h("p.kit-trace-foot");
  const view = h(
    "section.kit-trace.kit-widget",
    { "aria-label": label("Tool trace") },
    h("header.kit-trace-head", {}, question, h("div.kit-trace-controls", {}, clock, stop, badge)),
    list, error, status, foot,
  );
  el.append(view);

  let state = {};
  let views = [];
  let heard = 0; // when the kernel's clock was last heard
  let frame = 0;

  const running = () => state.status === "running";
  const now = () => state.now_s + (running() ? ((performance.now() - heard) / 1000) * state.rate : 0);

  function tick() {
    const at = now();
    const total = Math.max(at, 0.5);
    state.rows.forEach((row, i) => views[i].place(row, total, at, state.timed));
    clock.textContent = state.timed ? seconds(at) : "";
    frame = running() ? requestAnimationFrame(tick) : 0;
  }

  function show() {
    state = structuredClone(model.get("state"));
    heard = performance.now();
    while (views.length < state.rows.length) {
      views.push(new RowView());
      list.append(views.at(-1).element);
    }
    state.rows.forEach((row, i) => {
      views[i].show(row, state.timed);
      views[i].element.classList.toggle("kit-trace-next", i > 0 && row.step !== state.rows[i - 1].step);
    });
    view.dataset.status = state.status;
    question.textContent = state.question;
    badge.textContent = state.kind;
    badge.title = state.source;
    stop.hidden = !running();
    error.hidden = !state.error;
    if (state.error) error.replaceChildren(h("strong", {}, state.error[0]), h("span", {}, state.error[1]));
    status.textContent = said(state);
    foot.textContent = [state.figures, state.source, state.author].filter(Boolean).join(" · ");
    if (!frame) tick();
  }

  function grow({ row, text, now_s }) {
    if (!state.rows?.[row]) return;
    state.rows[row].text += text;
    state.now_s = now_s;
    heard = performance.now();
    views[row].show(state.rows[row], state.timed);
  }

  model.on("change:state", show);
  model.on("msg:custom", grow);
  show();
  return () => {
    cancelAnimationFrame(frame);
    model.off("change:state", show);
    model.off("msg:custom", grow);
  };
}

function said(state) {
  if (state.status === "running" && !state.rows.length) return "waiting for the first token…";
  if (state.status === "stopped") return "Stopped. What had happened stays.";
  if (state.remark) return state.remark;
  if (state.ended === "step limit") return "The step limit ended it: there is no answer.";
  return "";
}

export default { render };
