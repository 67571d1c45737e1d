// Markdown that grows. Blocks that can no longer change are rendered once and left alone; only
// the last one is rendered again, so that 16,000 tokens cost what 160 do.
//
// However long the text is, a frame draws no more of it than SLICE_MS allows: it is taken a window
// at a time, and a block that is longer than a window is drawn in parts.
import MarkdownIt from "markdown-it";
import { h } from "./dom.js";
import { Formulas, math } from "./math.js";
import { fragment, isWebLink } from "./safe.js";

const md = new MarkdownIt({ html: false, linkify: false, breaks: false }).use(math);
const { escapeHtml } = md.utils;
md.validateLink = isWebLink;
md.renderer.rules.link_open = (tokens, i, options, _, self) => {
  tokens[i].attrSet("rel", "noopener noreferrer");
  tokens[i].attrSet("target", "_blank");
  tokens[i].attrSet("title", tokens[i].attrGet("href"));
  return self.renderToken(tokens, i, options);
};
// Nothing is fetched because a model wrote an address: an image is shown as it was written.
md.renderer.rules.image = (tokens, i) =>
  `<span class="kit-image">![${escapeHtml(tokens[i].content)}](${escapeHtml(tokens[i].attrGet("src"))})</span>`;

const SLICE_MS = 12; // of a frame, for one text
const WINDOW = 4096; // characters parsed at once; twice as many of a list or a quote
const CHUNK = 8192; // characters in an element of their own, which the browser skips off screen
const ELEMENTS = 50_000; // of a text; what follows is text without format
const LONG_LIST = 16; // items; a list that goes on is continued by another of the same kind
const FENCE = /^ {0,3}(`{3,}|~{3,})/;

export class GrowingMarkdown {
  #root;
  #tail = h("div.kit-tail");
  #note = h("p.kit-note", {}, "Too many formulas to draw: the others stand as they were written.");
  #text = "";
  #settled = 0; // characters rendered for good
  #elements = 0; // made for them
  #env = {};
  #fence = ""; // the sign of a code block that is longer than a window, while in it
  #head = ""; // of a table that is longer than a window, while in it
  #chunk = null;
  #room = 0; // characters that the chunk still takes
  #formulas = new Formulas();

  constructor(root) {
    this.#root = root;
    root.replaceChildren(this.#tail);
  }

  // Draws as much as a frame allows; true where some is left for the next.
  render(text, done) {
    if (!text.startsWith(this.#text.slice(0, this.#settled))) this.#restart();
    this.#text = text;
    const until = performance.now() + SLICE_MS;
    let more = true;
    while (more && performance.now() < until) more = this.#drawWindow(done);
    if ((this.#formulas.isFull || this.#env.crowded) && !this.#note.isConnected) this.#root.append(this.#note);
    return this.#formulas.draw(until) || more;
  }

  #restart() {
    this.#settled = this.#elements = 0;
    this.#env = {};
    this.#fence = this.#head = "";
    this.#chunk = null;
    this.#formulas.restart();
    this.#root.replaceChildren(this.#tail);
  }

  #drawWindow(done) {
    if (this.#elements > ELEMENTS) return this.#drawLines(null, plain);
    return this.#fence ? this.#drawLines(closer(this.#fence), code) : this.#drawBlocks(done);
  }

  // The next window: what can no longer change settles, the rest is the tail. True where there is more text.
  #drawBlocks(done) {
    let { part, isLast, tokens, ends } = this.#parse(WINDOW, done);
    if (!isLast && ends === 0 && /^(bullet|ordered)_list|^blockquote/.test(tokens[0]?.type)) {
      ({ part, isLast, tokens, ends } = this.#parse(2 * WINDOW, done));
    }
    const { settled } = split(tokens);
    let at = ends;
    if (at) {
      this.#head = "";
      this.#settle(this.#nodes(settled), at);
    } else if (!isLast) {
      at = part.length; // one block, longer than a window
      if (tokens.length === 1 && tokens[0].type === "fence") this.#fence = openFence(part);
      if (tokens[0]?.type === "table_open") this.#head ||= part.slice(0, offset(part, 2));
      this.#settle(this.#nodes(tokens), at);
    }
    if (!isLast) this.#tail.replaceChildren();
    else this.#draw(at ? md.parse(part.slice(at), this.#env) : tokens);
    return !isLast;
  }

  // The blocks of a window, and where those end that can no longer change; 0 where none do.
  #parse(size, done) {
    const left = this.#text.slice(this.#settled, this.#settled + size + 1);
    const isLast = left.length <= size;
    const part = isLast ? left : left.slice(0, lineEnd(left, size));
    this.#env.done = done && isLast;
    const tokens = md.parse(this.#head + part, this.#env);
    if (this.#head) tokens[0]?.attrJoin("class", "kit-continues");
    const { line } = split(tokens);
    const ends = line > 0 ? offset(this.#head + part, line) - this.#head.length : 0;
    return { part, isLast, tokens, ends };
  }

  // Lines that are not Markdown: up to the one that closes them, or as many as a window holds.
  #drawLines(closes, element) {
    const left = this.#text.slice(this.#settled, this.#settled + WINDOW + 1);
    const end = closes?.exec(left);
    if (!end && left.length <= WINDOW) {
      this.#tail.replaceChildren(element(left));
      return false;
    }
    const at = end ? end.index : lineEnd(left, WINDOW);
    if (end) this.#fence = "";
    this.#settle(element(left.slice(0, at)), at + (end ? end[0].length : 0));
    this.#tail.replaceChildren();
    return true;
  }

  #settle(nodes, characters) {
    this.#settled += characters;
    this.#elements += nodes.querySelectorAll("*").length;
    if (!this.#chunk || this.#room <= 0) {
      this.#chunk?.classList.add("kit-full");
      this.#chunk = h("div.kit-chunk");
      this.#room = CHUNK;
      this.#tail.before(this.#chunk);
    }
    this.#room -= characters;
    this.#formulas.take(nodes, true);
    this.#chunk.append(nodes);
  }

  #draw(tokens) {
    const nodes = this.#nodes(tokens);
    this.#formulas.take(nodes, false);
    this.#tail.replaceChildren(nodes);
  }

  #nodes(tokens) {
    return fragment(md.renderer.render(tokens, md.options, this.#env));
  }
}

// The sign of the code block that `text` begins and does not end.
function openFence(text) {
  const sign = FENCE.exec(text)?.[1] ?? "";
  return sign && !closer(sign).test(text.slice(text.indexOf("\n"))) ? sign : "";
}

const closer = (sign) => new RegExp(`^ {0,3}${sign}${sign[0]}*[ \\t]*(?:\\n|(?![^]))`, "m");

const plain = (text) => h("div.kit-plain", {}, text);
const code = (text) => h("pre.kit-continues", {}, h("code", {}, text));

// What can no longer change, and the line where the rest begins: everything before the last block;
// of a long list, everything before its last item.
function split(tokens) {
  const last = lastBlock(tokens);
  const items = [];
  for (let i = last + 1; i < tokens.length; i++) {
    if (tokens[i].type === "list_item_open" && tokens[i].level === 1) items.push(i);
  }
  if (items.length > LONG_LIST) {
    const cut = items.at(-1);
    tokens[last].attrJoin("class", "kit-continues");
    return { settled: [...tokens.slice(0, cut), tokens.at(-1)], line: tokens[cut].map[0] };
  }
  return { settled: tokens.slice(0, last), line: last > 0 ? tokens[last].map[0] : 0 };
}

function lastBlock(tokens) {
  for (let i = tokens.length - 1; i > 0; i--) {
    if (tokens[i].level === 0 && tokens[i].nesting >= 0 && tokens[i].map) return i;
  }
  return 0;
}

function offset(text, line) {
  let at = 0;
  for (; line > 0; line--) at = text.indexOf("\n", at) + 1;
  return at;
}

// Where to cut a window: after its last line, or its last word, or in the middle of an endless one.
function lineEnd(text, size) {
  const at = text.lastIndexOf("\n", size - 1) + 1 || text.lastIndexOf(" ", size - 1) + 1;
  if (at) return at;
  const high = text.charCodeAt(size - 1);
  return high >= 0xd800 && high < 0xdc00 ? size - 1 : size;
}
