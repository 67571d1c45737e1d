// Elements in a line: h("button.kit-ask", { type: "button" }, "Ask").
export function h(spec, attributes = {}, ...children) {
  const [tag, ...classes] = spec.split(".");
  const element = document.createElement(tag);
  if (classes.length) element.className = classes.join(" ");
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

// A widget's label: the second of a name in a page is "name 2". No two widgets carry the same.
export function label(name) {
  const counts = (window.kitLabels ??= {});
  counts[name] = (counts[name] ?? 0) + 1;
  return counts[name] > 1 ? `${name} ${counts[name]}` : name;
}

const SHOWN = 4000; // characters of what is not meant to be long; the conversation has it whole

export function clipped(text) {
  return text.length <= SHOWN ? text : `${text.slice(0, SHOWN)}… (${text.length.toLocaleString("en-US")} characters)`;
}

// At most one call a frame, and no more than a third of the time spent in it.
export function throttled(work) {
  let waiting = false;
  let notBefore = 0;
  const run = (now) => {
    if (now < notBefore) return requestAnimationFrame(run);
    waiting = false;
    const start = performance.now();
    work();
    const cost = performance.now() - start;
    notBefore = start + 3 * cost;
  };
  return () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(run);
  };
}
