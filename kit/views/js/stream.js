// The stream view: a prompt, its buttons, and one pane (or several side by side).
//
// From the kernel: `config` and `state` are synced traits; a message {p, t, a, n, r} is what pane p
// received since the last. To the kernel: {kind: "ready"}, {kind: "ask", …}, {kind: "stop"}.
import { h, label } from "./dom.js";
import { Pane } from "./pane.js";

function controls(model, config) {
  const prompt = h("textarea.kit-prompt", {
    rows: "1",
    "aria-label": "Prompt",
    placeholder: "Ask something…",
    spellcheck: "false",
    "data-lm-suppress-shortcuts": "true", // JupyterLab's own keys rest while one types here
  });
  prompt.value = config.prompt;
  const toggle = h(
    "button.kit-toggle",
    { type: "button", role: "switch", "aria-checked": String(Boolean(config.thinking)), hidden: config.fixed },
    h("span.kit-knob", { "aria-hidden": "true" }),
    "Thinking",
  );
  toggle.addEventListener("click", () => {
    toggle.setAttribute("aria-checked", String(toggle.getAttribute("aria-checked") !== "true"));
  });
  const ask = h("button.kit-ask", { type: "button", title: "Ctrl+Enter" }, "Ask");
  const stop = h("button.kit-stop", { type: "button", title: "cancel the request", hidden: true }, "Stop");
  const send = () => {
    if (ask.disabled || !prompt.value.trim()) return;
    const thinking = config.fixed ? null : toggle.getAttribute("aria-checked") === "true";
    model.send({ kind: "ask", prompt: prompt.value, thinking });
  };
  ask.addEventListener("click", send);
  stop.addEventListener("click", () => model.send({ kind: "stop" }));
  prompt.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      send();
    }
  });
  const fit = () => {
    prompt.style.height = "auto";
    prompt.style.height = `${prompt.scrollHeight}px`;
  };
  prompt.addEventListener("input", fit);
  requestAnimationFrame(fit);
  return { prompt, toggle, ask, stop, fit };
}

function render({ model, el }) {
  const config = model.get("config");
  const { prompt, toggle, ask, stop, fit } = controls(model, config);
  const panes = config.panes.map((pane) => new Pane(pane));
  const view = h(
    "section.kit-stream.kit-widget",
    { "aria-label": label("Stream view") },
    h("div.kit-bar", {}, prompt, h("div.kit-controls", {}, toggle, ask, stop)),
    h("div.kit-panes", { "data-count": panes.length }, ...panes.map((pane) => pane.element)),
  );
  el.append(view);

  const restore = () => {
    const state = model.get("state");
    panes.forEach((pane, i) => pane.restore(state[i]));
    const live = panes.some((pane) => pane.live);
    const asked = state.some(({ status }) => status !== "idle");
    ask.hidden = ask.disabled = live;
    stop.hidden = !live;
    ask.textContent = asked ? "Ask again" : "Ask";
    view.classList.toggle("kit-live", live);
  };
  const reask = () => {
    const { prompt: asked, thinking } = model.get("config");
    prompt.value = asked;
    toggle.setAttribute("aria-checked", String(Boolean(thinking)));
    fit();
  };
  const append = (message) => panes[message.p]?.append(message);
  model.on("change:state", restore);
  model.on("change:config", reask);
  model.on("msg:custom", append);
  restore();
  model.send({ kind: "ready" });
  return () => {
    model.off("change:state", restore);
    model.off("change:config", reask);
    model.off("msg:custom", append);
  };
}

export default { render };
