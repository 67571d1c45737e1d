// Formulas for markdown-it: $…$ and \(…\) in a line, $$…$$ and \[…\] on their own.
// Rendered as MathML by Temml: no fonts to fetch, readable by screen readers.
//
// A model may write anything between dollar signs, so everything here is bounded: how far a closing
// sign is looked for, how long, deep and large a formula may be, how many are drawn, and how much
// of a frame they take. What is over a bound stays as its source.
import temml from "temml";
import { fragment } from "./safe.js";

const INLINE = [
  { open: "$$", close: "$$", display: true },
  { open: "\\[", close: "\\]", display: true },
  { open: "\\(", close: "\\)", display: false },
  { open: "$", close: "$", display: false },
];
const BLOCK = INLINE.filter((rule) => rule.display);

const LONGEST = 3000; // characters of a formula
const DEEPEST = 40; // elements within one another
const LARGEST = 100_000; // characters of its MathML
const MOST = 1000; // formulas of one text
const CROWD = 300; // formulas of one paragraph
const KEPT = 2000; // formulas remembered: a streaming tail draws the same ones again and again
const DEFINES = /\\(?:[egx]?def|(?:future)?let|(?:new|renew|provide)command|global|long)(?![a-zA-Z])/;

const drawn = new Map(); // source → nodes, or null where it is no formula

// The MathML of a formula, or null where it is none, or over a bound.
export function mathml(tex, display) {
  if (tex.length > LONGEST || DEFINES.test(tex)) return null;
  const key = (display ? "D" : "I") + tex;
  if (!drawn.has(key)) {
    if (drawn.size >= KEPT) drawn.clear();
    drawn.set(key, compiled(tex, display));
  }
  return drawn.get(key)?.cloneNode(true) ?? null;
}

const isKnown = (tex, display) => tex.length > LONGEST || drawn.has((display ? "D" : "I") + tex);

function compiled(tex, display) {
  const options = { displayMode: display, throwOnError: true, trust: false, maxExpand: 500, maxSize: [20, 300] };
  try {
    const html = temml.renderToString(tex, options);
    return html.length > LARGEST || depth(html) > DEEPEST ? null : fragment(html);
  } catch {
    return null; // not a formula yet, or never one
  }
}

function depth(html) {
  let [now, deepest] = [0, 0];
  for (const [, closes, open] of html.matchAll(/<(\/?)[a-z][^>]*?(\/?)>/g)) {
    now += closes ? -1 : open ? 0 : 1;
    deepest = Math.max(deepest, now);
  }
  return deepest;
}

// The formulas of one text. Those that are known appear at once; the others, and no more than MOST,
// as the frames allow.
export class Formulas {
  #waiting = [];
  #settled = 0; // those that stay
  #at = 0;
  isFull = false; // some were left out

  restart() {
    this.#waiting = [];
    this.#settled = this.#at = 0;
    this.isFull = false;
  }

  // Takes the formulas of new nodes; `stays` where the nodes do.
  take(nodes, stays) {
    let room = MOST - this.#settled;
    for (const element of nodes.querySelectorAll(".kit-formula")) {
      if (room-- <= 0) {
        this.isFull = true;
        break;
      }
      if (stays) this.#settled++;
      if (isKnown(element.textContent, isDisplay(element))) draw(element);
      else this.#waiting.push(element);
    }
  }

  // Draws what waits, until the time is over; true where some is left.
  draw(until) {
    while (this.#at < this.#waiting.length) {
      if (performance.now() >= until) return true;
      const element = this.#waiting[this.#at++];
      if (element.isConnected) draw(element);
    }
    this.#waiting = [];
    this.#at = 0;
    return false;
  }
}

const isDisplay = (element) => element.classList.contains("kit-display");

function draw(element) {
  const nodes = mathml(element.textContent, isDisplay(element));
  if (nodes) element.replaceWith(nodes);
  else element.classList.remove("kit-formula");
}

// "$5 and $10" is money: a dollar sign opens only before ink and closes only after it, and a
// closing one is not followed by a digit.
function isMoney(src, from, to) {
  return /\s/.test(src[from]) || /\s/.test(src[to - 1]) || /\d/.test(src[to + 1] ?? "");
}

// Where the next closing sign is, at most LONGEST characters on; -1 where there is none. `state`
// remembers the last find, so that a text of opening signs alone is searched once.
function closing(state, close, from, end) {
  const finds = (state.closings ??= {});
  let find = finds[close];
  if (!find || from < find.from || from > find.to) {
    const to = state.src.indexOf(close, from);
    find = finds[close] = { from, to: to < 0 ? Infinity : to };
  }
  return find.to - from <= LONGEST && find.to + close.length <= end ? find.to : -1;
}

function inlineMath(state, silent) {
  for (const { open, close, display } of INLINE) {
    if (!state.src.startsWith(open, state.pos)) continue;
    const from = state.pos + open.length;
    let to = closing(state, close, from, state.posMax);
    while (to > 0 && open === "$" && state.src[to - 1] === "\\") to = closing(state, close, to + 1, state.posMax);
    if (to <= from) continue;
    if (open === "$" && isMoney(state.src, from, to)) continue;
    if ((state.formulas ??= 0) >= CROWD) {
      state.env.crowded = true;
      return false;
    }
    if (!silent) {
      state.formulas++;
      const token = state.push("math", "", 0);
      token.content = state.src.slice(from, to);
      token.meta = { display };
    }
    state.pos = to + close.length;
    return true;
  }
  return false;
}

function blockMath(state, startLine, endLine, silent) {
  const start = state.bMarks[startLine] + state.tShift[startLine];
  const rule = BLOCK.find(({ open }) => state.src.startsWith(open, start));
  if (!rule || state.sCount[startLine] - state.blkIndent >= 4) return false;
  const from = start + rule.open.length;
  const limit = state.eMarks[endLine - 1];
  const to = closing(state, rule.close, from, limit);
  const closed = to >= 0;
  if (!closed && (state.env.done || limit - from > LONGEST)) return false; // it never came: text after all
  let line = startLine;
  if (closed) {
    while (state.eMarks[line] < to + rule.close.length) line++;
    if (state.src.slice(to + rule.close.length, state.eMarks[line]).trim()) return false;
  } else {
    line = endLine - 1; // still being written: everything so far belongs to it
  }
  if (silent) return true;
  const token = state.push(closed ? "math_block" : "math_open", "", 0);
  token.block = true;
  token.content = state.src.slice(from, closed ? to : limit);
  token.meta = { display: true };
  token.map = [startLine, line + 1];
  state.line = line + 1;
  return true;
}

// A formula is put in as its source, which `Formulas` then draws.
export function math(md) {
  const { escapeHtml } = md.utils;
  md.inline.ruler.before("escape", "math", inlineMath);
  md.block.ruler.before("fence", "math_block", blockMath, {
    alt: ["paragraph", "reference", "blockquote", "list"],
  });
  const render = (tokens, i) => {
    const { content, meta } = tokens[i];
    const source = (more) => `<code class="kit-tex kit-formula${more}">${escapeHtml(content)}</code>`;
    return meta.display ? `<div class="kit-math">${source(" kit-display")}</div>` : source("");
  };
  md.renderer.rules.math = render;
  md.renderer.rules.math_block = render;
  md.renderer.rules.math_open = (tokens, i) =>
    `<pre class="kit-tex">${escapeHtml(tokens[i].content)}</pre>`;
}
