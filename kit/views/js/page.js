// The formulas of an exported page: $…$ and $$…$$ in its Markdown become MathML, a few a frame.
import { mathml } from "./math.js";

const FORMULA = /\$\$([^$]+)\$\$|\$([^\s$](?:[^$]*[^\s$])?)\$(?!\d)/g;
const SLICE_MS = 12;
const MOST = 2000;

// The formulas in a piece of text, as nodes; null where there are none.
function split(text) {
  const parts = [];
  let at = 0;
  for (const match of text.matchAll(FORMULA)) {
    const nodes = mathml(match[1] ?? match[2], match[1] !== undefined);
    if (!nodes) continue;
    parts.push(text.slice(at, match.index), nodes);
    at = match.index + match[0].length;
  }
  return parts.length ? [...parts, text.slice(at)] : null;
}

function textNodes() {
  const found = [];
  for (const root of document.querySelectorAll(".jp-RenderedMarkdown, .jp-MarkdownOutput")) {
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const node = walker.currentNode;
      if (node.data.includes("$") && !node.parentElement.closest("code, pre, script, style, math")) found.push(node);
    }
  }
  return found.slice(0, MOST);
}

function draw(waiting) {
  const until = performance.now() + SLICE_MS;
  while (waiting.length && performance.now() < until) {
    const node = waiting.pop();
    const nodes = split(node.data);
    if (nodes) node.replaceWith(...nodes);
  }
  if (waiting.length) requestAnimationFrame(() => draw(waiting));
}

draw(textNodes().reverse());
