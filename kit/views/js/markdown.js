// Markdown that grows. Blocks that can no longer change are rendered once and left alone; only
// the last one is rendered again, so that 16,000 tokens cost what 160 do.
import MarkdownIt from "markdown-it";
import { math } from "./math.js";
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

const LONG_LIST = 16; // items; a list that goes on is continued by another of the same kind

export class GrowingMarkdown {
  #root;
  #tail = document.createElement("div");
  #text = "";
  #settled = 0; // characters rendered for good
  #env = {};

  constructor(root) {
    this.#root = root;
    this.#tail.className = "kit-tail";
    root.replaceChildren(this.#tail);
  }

  render(text, done) {
    if (!text.startsWith(this.#text.slice(0, this.#settled))) this.#restart();
    this.#text = text;
    this.#env.done = done;
    const rest = text.slice(this.#settled);
    const tokens = md.parse(rest, this.#env);
    const { settled, line } = split(tokens);
    if (line > 0) {
      this.#tail.before(this.#nodes(settled));
      const at = offset(rest, line);
      this.#settled += at;
      this.#tail.replaceChildren(this.#nodes(md.parse(rest.slice(at), this.#env)));
    } else {
      this.#tail.replaceChildren(this.#nodes(tokens));
    }
  }

  #restart() {
    this.#settled = 0;
    this.#env = {};
    this.#root.replaceChildren(this.#tail);
  }

  #nodes(tokens) {
    return fragment(md.renderer.render(tokens, md.options, this.#env));
  }
}

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
