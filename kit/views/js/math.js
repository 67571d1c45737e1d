// Formulas for markdown-it: $…$ and \(…\) in a line, $$…$$ and \[…\] on their own.
// Rendered as MathML by Temml: no fonts to fetch, readable by screen readers.
import temml from "temml";

const INLINE = [
  { open: "$$", close: "$$", display: true },
  { open: "\\[", close: "\\]", display: true },
  { open: "\\(", close: "\\)", display: false },
  { open: "$", close: "$", display: false },
];
const BLOCK = INLINE.filter((rule) => rule.display);

const rendered = new Map(); // a streaming tail renders the same formulas again and again

export function mathml(tex, display, escape) {
  const key = (display ? "D" : "I") + tex;
  let html = rendered.get(key);
  if (html === undefined) {
    try {
      html = temml.renderToString(tex, { displayMode: display, throwOnError: true, trust: false });
    } catch {
      html = `<code class="kit-tex">${escape(tex)}</code>`; // not a formula yet, or never one
    }
    if (rendered.size > 2000) rendered.clear();
    rendered.set(key, html);
  }
  return display ? `<div class="kit-math">${html}</div>` : html;
}

// "$5 and $10" is money: a dollar sign opens only before ink and closes only after it, and a
// closing one is not followed by a digit.
function isMoney(src, from, to) {
  return /\s/.test(src[from]) || /\s/.test(src[to - 1]) || /\d/.test(src[to + 1] ?? "");
}

function inlineMath(state, silent) {
  for (const { open, close, display } of INLINE) {
    if (!state.src.startsWith(open, state.pos)) continue;
    const from = state.pos + open.length;
    let to = state.src.indexOf(close, from);
    while (to > 0 && open === "$" && state.src[to - 1] === "\\") to = state.src.indexOf(close, to + 1);
    if (to <= from || to + close.length > state.posMax) continue;
    if (open === "$" && isMoney(state.src, from, to)) continue;
    if (!silent) {
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
  const to = state.src.indexOf(rule.close, from);
  const closed = to >= 0 && to <= limit;
  if (!closed && state.env.done) return false; // it never came: text after all
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

export function math(md) {
  const { escapeHtml } = md.utils;
  md.inline.ruler.before("escape", "math", inlineMath);
  md.block.ruler.before("fence", "math_block", blockMath, {
    alt: ["paragraph", "reference", "blockquote", "list"],
  });
  const render = (tokens, i) => mathml(tokens[i].content, tokens[i].meta.display, escapeHtml);
  md.renderer.rules.math = render;
  md.renderer.rules.math_block = render;
  md.renderer.rules.math_open = (tokens, i) =>
    `<pre class="kit-tex">${escapeHtml(tokens[i].content)}</pre>`;
}
