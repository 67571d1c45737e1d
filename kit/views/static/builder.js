// The controls of the command builder. They know nothing of SGLang: `form` says what to show,
// a change is sent as a message, and the answer is a new `form`.

const COPIED_MS = 2500;

// A widget's label: the second of a name in a page is "name 2". No two widgets carry the same.
function label(name) {
  const counts = (window.kitLabels ??= {});
  counts[name] = (counts[name] ?? 0) + 1;
  return counts[name] > 1 ? `${name} ${counts[name]}` : name;
}

function render({ model, el }) {
  const root = document.createElement("div");
  root.className = "kit-builder kit-widget";
  root.setAttribute("role", "group");
  root.setAttribute("aria-label", label("Command builder"));
  const grid = add(root, "div", "kit-builder-fields");
  const switches = add(root, "div", "kit-builder-switches");
  const said = add(root, "div", "kit-builder-said");
  said.setAttribute("role", "status");
  const foot = add(root, "div", "kit-builder-foot");
  const verdict = add(foot, "strong", "kit-builder-verdict");
  verdict.setAttribute("role", "status");
  const copy = add(foot, "button", "kit-builder-copy");
  copy.type = "button";
  copy.textContent = "Copy the command";
  const copied = add(foot, "span", "kit-builder-copied");
  copied.setAttribute("role", "status");
  el.append(root);

  const controls = new Map();

  function make(field) {
    const id = `kit-${model.cid ?? "b"}-${Math.random().toString(36).slice(2)}`;
    const box = add(field.choices.length ? grid : switches, "div", "kit-builder-field");
    const label = document.createElement("label");
    label.htmlFor = id;
    label.textContent = field.label;
    const input = document.createElement(field.choices.length ? "select" : "input");
    if (!field.choices.length) input.type = "checkbox";
    input.id = id;
    input.dataset.name = field.name;
    const about = document.createElement("small");
    about.id = `${id}-about`;
    input.setAttribute("aria-describedby", about.id);
    input.addEventListener("change", () => {
      const value = input.type === "checkbox" ? input.checked : field.choices[input.selectedIndex].value;
      model.send({ kind: "choose", name: field.name, value });
    });
    box.append(...(field.choices.length ? [label, input] : [input, label]), about);
    return { box, input, about, field };
  }

  function show() {
    const form = model.get("form");
    for (const field of form.fields ?? []) {
      let control = controls.get(field.name);
      if (!control) controls.set(field.name, (control = make(field)));
      Object.assign(control.field, field);
      const { box, input, about } = control;
      if (input.type === "checkbox") {
        input.checked = field.value;
        input.disabled = Boolean(field.locked);
      } else {
        options(input, field);
      }
      about.textContent = field.locked || field.about;
      box.title = about.textContent;
    }
    said.replaceChildren(...form.changed.map((text) => {
      const line = document.createElement("div");
      line.textContent = text;
      return line;
    }));
    verdict.textContent = form.verdict;
    verdict.dataset.verdict = form.mark;
  }

  copy.addEventListener("click", async () => {
    const done = await put(model.get("command"));
    copied.textContent = done ? "copied" : "the browser does not allow it: select the text below";
    setTimeout(() => (copied.textContent = ""), COPIED_MS);
  });

  model.on("change:form", show);
  show();
  return () => model.off("change:form", show);
}

function options(select, field) {
  field.choices.forEach((choice, i) => {
    const option = select.options[i] ?? select.appendChild(document.createElement("option"));
    option.textContent = choice.reason ? `${choice.label} – ${choice.reason}` : choice.label;
    option.disabled = Boolean(choice.reason);
    option.selected = choice.value === field.value;
  });
  select.length = field.choices.length;
  const chosen = field.choices.find((choice) => choice.value === field.value);
  select.title = chosen ? chosen.label : "";
}

async function put(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return putByHand(text); // a page that is not served securely has no clipboard
  }
}

function putByHand(text) {
  const before = document.activeElement;
  const area = document.createElement("textarea");
  area.value = text;
  area.style.position = "fixed";
  area.style.opacity = "0";
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  before?.focus();
  return done;
}

function add(parent, tag, name) {
  const element = document.createElement(tag);
  element.className = name;
  parent.append(element);
  return element;
}

export default { render };
