// The live chart of a benchmark. `config` says what runs, a message what has come since the last:
// {t, n: [sent, finished, failed], counted, p: [time, tokens/s, running, queued], ttft, itl}, or
// `all` points at once; a distribution is [edges in ms, counts, mean, P99]. To the kernel go
// {kind: "ready"} and {kind: "stop"}.

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 168;
const PAD = { left: 58, right: 10, top: 8, bottom: 26 };
const MOST_POINTS = 600;
let hatches = 0;

function h(spec, attributes = {}, ...children) {
  const [tag, ...classes] = spec.split(".");
  const element = document.createElement(tag);
  element.className = classes.join(" ");
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function s(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const number = (n) => (n < 10 && n % 1 ? n.toFixed(1) : Math.round(n).toLocaleString("en-US"));

function duration(ms) {
  if (ms == null) return "–";
  if (ms < 10) return `${+ms.toPrecision(2)} ms`;
  return ms < 1000 ? `${Math.round(ms)} ms` : `${+(ms / 1000).toPrecision(3)} s`;
}

// The least round number that is not under `x`.
function round(x, steps = [1, 1.5, 2, 3, 4, 5, 6, 8, 10]) {
  const power = 10 ** Math.floor(Math.log10(Math.max(x, 1e-9)));
  return steps.map((n) => n * power).find((n) => n >= x * 0.9999);
}

function ticks(most, count) {
  const step = round(most / count, [1, 2, 5, 10]);
  return Array.from({ length: Math.floor(most / step + 1e-9) + 1 }, (_, i) => i * step);
}

// A widget's label: the second of a name in a page is "name 2". No two widgets carry the same.
function label(name) {
  const counts = (window.kitLabels ??= {});
  counts[name] = (counts[name] ?? 0) + 1;
  return counts[name] > 1 ? `${name} ${counts[name]}` : name;
}

class Chart {
  constructor(title, ...keys) {
    this.title = h("b", {}, title);
    this.caption = h("figcaption", {}, this.title, ...keys);
    this.svg = s("svg", { role: "img" });
    this.element = h("figure.kit-bench-chart", {}, this.caption, this.svg);
    this.width = 600;
  }

  x(share) {
    return PAD.left + share * (this.width - PAD.left - PAD.right);
  }

  y(share) {
    return HEIGHT - PAD.bottom - share * (HEIGHT - PAD.top - PAD.bottom);
  }

  say(text) {
    this.svg.setAttribute("aria-label", text);
  }

  label(x, y, text, anchor) {
    return s("text", { x, y, "text-anchor": anchor }, text);
  }

  // Under its place on the axis; at the right end, as far as there is room.
  below(x, text) {
    const fits = x < this.width - 28;
    return this.label(fits ? x : this.width - 2, HEIGHT - 5, text, fits ? "middle" : "end");
  }

  // Lines across with their values at the left.
  rules(most) {
    return ticks(most, 4).flatMap((value) => {
      const y = this.y(value / most);
      const line = { x1: PAD.left, x2: this.width - PAD.right, y1: y, y2: y };
      return [
        s("line", { class: "kit-bench-grid", ...line }),
        this.label(PAD.left - 8, y + 5, number(value), "end"),
      ];
    });
  }

  replace(...children) {
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${HEIGHT}`);
    this.svg.replaceChildren(...children);
  }
}

class OverTime extends Chart {
  seconds(span) {
    const last = ticks(span, 6).at(-1);
    return ticks(span, 6).map((at) =>
      this.below(this.x(at / span), at === last ? `${number(at)} s` : number(at)),
    );
  }

  // The outline of a line, or of the area between two.
  path(points, span, most, value, floor) {
    const at = (p, v) => `${this.x(p[0] / span).toFixed(1)},${this.y(v / most).toFixed(1)}`;
    const line = points.map((p) => at(p, value(p)));
    if (floor) line.push(...points.toReversed().map((p) => at(p, floor(p))));
    return `M${line.join("L")}${floor ? "Z" : ""}`;
  }
}

class Rate extends OverTime {
  constructor() {
    const now = h("output", {}, "–");
    super("Output tokens/s", now);
    this.now = now;
  }

  draw(points, span) {
    const most = round(Math.max(10, ...points.map((p) => p[1])) * 1.05);
    const rate = (p) => p[1];
    const shown = points.length
      ? [
          s("path", { class: "kit-bench-rate-area", d: this.path(points, span, most, rate, () => 0) }),
          s("path", { class: "kit-bench-rate", d: this.path(points, span, most, rate) }),
        ]
      : [];
    this.replace(...this.rules(most), ...this.seconds(span), ...shown);
    this.now.textContent = points.length ? number(points.at(-1)[1]) : "–";
    this.say(`${this.title.textContent} over time; now ${this.now.textContent}`);
  }
}

class Requests extends OverTime {
  constructor() {
    const hatch = `kit-hatch-${(hatches += 1)}`;
    const swatch = (attributes) => s("svg", { "aria-hidden": "true" }, s("rect", attributes));
    const fill = { width: 22, height: 12 };
    const running = h("output", {}, "–");
    const queued = h("output", {}, "–");
    const name = h("span", {}, "running");
    const first = h("span.kit-bench-key", {}, swatch({ class: "kit-bench-running", ...fill }), name, " ", running);
    const second = h(
      "span.kit-bench-key",
      {},
      swatch({ class: "kit-bench-queued", fill: `url(#${hatch})`, ...fill }),
      "queued ",
      queued,
    );
    super("Requests", first, second);
    Object.assign(this, { hatch, running, queued, name, second });
  }

  draw(all, span) {
    const points = all.filter((p) => p[2] != null);
    const known = points.length > 0 && points.at(-1)[3] != null;
    const total = (p) => p[2] + (p[3] ?? 0);
    const most = round(Math.max(4, ...points.map(total)) * 1.02);
    const stripes = s(
      "pattern",
      { id: this.hatch, width: 7, height: 7, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
      s("line", { class: "kit-bench-hatch", y2: 7 }),
    );
    const running = (p) => p[2];
    const areas = [];
    if (known) {
      const d = this.path(points, span, most, total, running);
      areas.push(s("path", { class: "kit-bench-queued", fill: `url(#${this.hatch})`, d }));
    }
    if (points.length) {
      const d = this.path(points, span, most, running, () => 0);
      areas.push(s("path", { class: "kit-bench-running", d }));
    }
    this.replace(s("defs", {}, stripes), ...this.rules(most), ...this.seconds(span), ...areas);
    this.name.textContent = known || !points.length ? "running" : "in flight";
    this.second.style.display = known || !points.length ? "" : "none";
    const [, , now, waiting] = points.at(-1) ?? [];
    this.running.textContent = now == null ? "–" : number(now);
    this.queued.textContent = waiting == null ? "–" : number(waiting);
    this.say(`Requests over time; ${this.name.textContent} ${this.running.textContent}, queued ${this.queued.textContent}`);
  }
}

class Distribution extends Chart {
  constructor(title, about) {
    const mean = h("output", {}, "–");
    const p99 = h("output", {}, "–");
    const mark = (kind) =>
      s("svg", { "aria-hidden": "true" }, s("line", { class: `kit-bench-${kind}`, x1: 0, x2: 22, y1: 6, y2: 6 }));
    super(
      title,
      h("span.kit-bench-key", {}, mark("mean"), "mean ", mean),
      h("span.kit-bench-key", {}, mark("p99"), "P99 ", p99),
    );
    this.element.title = about;
    Object.assign(this, { mean, p99 });
  }

  draw([edges, counts, mean, p99]) {
    this.mean.textContent = duration(mean);
    this.p99.textContent = duration(p99);
    this.say(`${this.title.textContent}: mean ${this.mean.textContent}, 99th percentile ${this.p99.textContent}`);
    if (!counts.length) {
      const middle = (PAD.left + this.width) / 2;
      return this.replace(this.label(middle, HEIGHT / 2, "none yet", "middle"));
    }
    const [low, high] = [Math.log(edges[0]), Math.log(edges.at(-1))];
    const at = (ms) => this.x(Math.min(1, Math.max(0, (Math.log(ms) - low) / (high - low))));
    const most = round(Math.max(4, ...counts) * 1.02);
    const bars = counts.map((count, i) => {
      const [left, right, top] = [at(edges[i]), at(edges[i + 1]), this.y(count / most)];
      return `M${(left + 0.75).toFixed(1)},${this.y(0)}V${top.toFixed(1)}H${(right - 0.75).toFixed(1)}V${this.y(0)}Z`;
    });
    const line = (kind, ms) =>
      s("line", { class: `kit-bench-${kind}`, x1: at(ms), x2: at(ms), y1: this.y(1), y2: this.y(0) });
    this.replace(
      ...this.rules(most),
      s("path", { class: "kit-bench-bars", d: bars.join("") }),
      line("mean", mean),
      line("p99", p99),
      ...this.scale(edges[0], edges.at(-1), at),
    );
  }

  // 1, 2, 5 × 10ⁿ as far as they have room.
  scale(low, high, at) {
    const values = [];
    for (let power = 10 ** Math.floor(Math.log10(low)); power <= high; power *= 10) {
      values.push(...[1, 2, 5].map((n) => n * power).filter((v) => v >= low && v <= high));
    }
    const tens = values.filter((v) => /^1(e|0*$)|^0\.0*1$/.test(String(+v.toPrecision(6))));
    const room = (this.width - PAD.left) / 62;
    const chosen = values.length > room && tens.length > 1 ? tens : values;
    return chosen.map((v) => this.below(at(v), duration(v)));
  }
}

class Panel {
  constructor(config, stop) {
    this.config = config;
    Object.assign(this, { kept: [], points: [], seen: 0, stride: 1 });
    this.span = 10;
    this.latest = { ttft: [[], [], null, null], itl: [[], [], null, null] };
    this.rate = new Rate();
    this.requests = new Requests();
    this.ttft = new Distribution("TTFT", "time to first token, of each request");
    this.itl = new Distribution("ITL", "inter-token latency: the gap between two chunks of an answer");
    this.count(true);
    this.charts = [this.rate, this.ttft, this.requests, this.itl];
    this.done = h("strong", {}, "Warming up…");
    this.time = h("span");
    this.failed = h("span");
    this.bar = h("progress", { max: config.total, value: 0, "aria-label": "requests finished" });
    this.stop = h("button", { type: "button", title: "end the run; what has come stays" }, "Stop");
    this.stop.addEventListener("click", () => {
      this.stop.disabled = true;
      this.stop.textContent = "Stopping…";
      stop();
    });
    this.element = h(
      "section.kit-bench.kit-widget",
      { "aria-label": label("Benchmark") },
      h(
        "div.kit-bench-bar",
        {},
        h("div.kit-bench-said", {}, this.done, this.time, this.failed),
        h(`span.kit-bench-badge.kit-${config.kind}`, {}, config.kind),
        this.stop,
        this.bar,
      ),
      h("div.kit-bench-charts", {}, ...this.charts.map((chart) => chart.element)),
      h("p.kit-bench-source", {}, `${config.kind} · ${config.source}`),
    );
  }

  // What a server does not count in tokens is counted in chunks.
  count(tokens) {
    this.rate.title.textContent = tokens ? "Output tokens/s" : "Output chunks/s";
    this.itl.title.textContent = tokens ? "ITL per token" : "ITL per chunk";
  }

  // Every point, then every second, every fourth …: evenly over the run, and always the newest.
  keep(point) {
    if (this.seen % this.stride === 0) this.kept.push(point);
    this.seen += 1;
    if (this.kept.length > MOST_POINTS) {
      this.kept = this.kept.filter((_, i) => i % 2 === 0);
      this.stride *= 2;
    }
    this.points = this.kept.at(-1) === point ? this.kept : [...this.kept, point];
  }

  take(message) {
    if (message.all) Object.assign(this, { kept: [], seen: 0, stride: 1 });
    for (const point of message.all ?? [message.p]) this.keep(point);
    this.counts = message.n;
    this.t = message.t;
    this.count(message.counted);
    for (const name of ["ttft", "itl"]) this.latest[name] = message[name] ?? this.latest[name];
    this.later();
  }

  // Once a frame at most, and not at all while the page is hidden.
  later() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = undefined;
      this.draw();
    });
  }

  draw() {
    for (const chart of this.charts) chart.width = chart.svg.clientWidth || chart.width;
    if (this.t > this.span) this.span = Math.max(this.t, Math.min(this.t * 1.25, this.t + 20));
    this.rate.draw(this.points, this.span);
    this.requests.draw(this.points, this.span);
    this.ttft.draw(this.latest.ttft);
    this.itl.draw(this.latest.itl);
    if (!this.counts) return;
    const [, finished, failed] = this.counts;
    this.done.textContent = `${number(finished + failed)} of ${number(this.config.total)} requests`;
    this.time.textContent = `${this.t.toFixed(1)} s${this.config.clock}`;
    this.failed.textContent = failed ? `${number(failed)} failed` : "no errors";
    this.failed.className = failed ? "kit-bench-failed" : "";
    this.bar.value = finished + failed;
  }
}

function render({ model, el }) {
  const panel = new Panel(model.get("config"), () => model.send({ kind: "stop" }));
  el.append(panel.element);
  const take = (message) => panel.take(message);
  const fit = new ResizeObserver(() => panel.later());
  fit.observe(panel.element);
  model.on("msg:custom", take);
  panel.draw();
  model.send({ kind: "ready" });
  return () => {
    fit.disconnect();
    model.off("msg:custom", take);
  };
}

export default { render };
