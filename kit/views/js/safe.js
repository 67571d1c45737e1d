// What a model writes is text. markdown-it already escapes HTML; this is the second lock:
// markup becomes nodes in an inert template, and only what is listed here leaves it.

const HTML = new Set(
  ("p h1 h2 h3 h4 h5 h6 ul ol li blockquote pre code em strong s hr br a table thead tbody tr th td " +
    "span div").split(" "),
);
const ATTRIBUTES = new Set(["class", "start", "title", "href", "rel", "target", "style"]);
const MATHML = "http://www.w3.org/1998/Math/MathML";
const ALIGNED = /^text-align:\s*(left|right|center);?$/; // markdown-it's tables

export const isWebLink = (url) => /^https?:\/\//i.test(url);

function keeps(element, { name, value }) {
  if (/^on|^(xlink:)?(href|src)/i.test(name)) {
    return name === "href" && element.localName === "a" && isWebLink(value);
  }
  if (element.namespaceURI === MATHML) return true;
  return ATTRIBUTES.has(name) && (name !== "style" || ALIGNED.test(value));
}

export function fragment(markup) {
  const template = document.createElement("template");
  template.innerHTML = markup;
  for (const element of template.content.querySelectorAll("*")) {
    if (element.namespaceURI !== MATHML && !HTML.has(element.localName)) {
      element.replaceWith(document.createTextNode(element.outerHTML));
      continue;
    }
    for (const attribute of [...element.attributes]) {
      if (!keeps(element, attribute)) element.removeAttribute(attribute.name);
    }
  }
  return template.content;
}
