// What outputs need of the page that they stand in: figures follow the width of their place, sliders
// carry the name that stands beside them.
//
// A figure in a narrow place has one column, the legend below, small margins; a wide one is as made.
// Works on every plotly figure of the page, whoever draws it, and needs nothing of plotly but its
// data and layout: where there is no global Plotly (JupyterLab), a resize of the window makes the
// notebook draw it again.
function start() {
  const NARROW = 600; // px; below it
  const TITLE = 17, SUB = 13, SMALL = 11; // px
  const GAP = 74; // px between panels: an axis, its title, a heading

  const bare = (text) => String(text).replace(/<br\s*\/?>/g, " ").replace(/<[^>]*>/g, "");
  // Lines of at most `room` characters; tags are not counted and not broken.
  const wrap = (text, room) => {
    const lines = [];
    for (const part of String(text).split(/<br\s*\/?>/)) {
      let line = "";
      for (const word of part.split(/ (?![^<]*>)/)) {
        if (line && bare(`${line} ${word}`).length > room) {
          lines.push(line);
          line = word;
        } else line = line ? `${line} ${word}` : word;
      }
      lines.push(line);
    }
    return lines;
  };
  const joined = (lines) => lines.join("<br>");
  const axesOf = (layout, letter) => Object.keys(layout).filter((key) => new RegExp(`^${letter}axis\\d*$`).test(key));
  const font = (object, size) => ({ ...object?.font, size });

  // The panels of a figure, top to bottom, left column first: pairs of axes with a place of their own.
  const panels = (layout) => {
    const found = [];
    for (const y of axesOf(layout, "y")) {
      if (layout[y].overlaying) continue;
      const anchor = layout[y].anchor ?? "x";
      const x = anchor === "free" ? "xaxis" : `xaxis${anchor.slice(1)}`;
      if (!layout[x]) continue;
      found.push({ x, y, left: layout[x].domain?.[0] ?? 0, top: layout[y].domain?.[1] ?? 1 });
    }
    return found.sort((a, b) => a.left - b.left || b.top - a.top);
  };

  const isSide = (note) => note.xref === "paper" && note.x >= 0.99 && (note.showarrow || note.x > 1) && note.xanchor === "left";
  const isFoot = (note) => note.name === "provenance";

  // What stood at the right of a plot, as lines below it, each with its colour where a trace has its name.
  const sideLines = (notes, data) => {
    const place = (note) => (note.ayref ? -note.ay : -(note.yshift ?? 0) - 1000 * note.y);
    return notes.filter(isSide).sort((a, b) => place(a) - place(b)).map(({ text }) => {
      if (text.includes("■")) return text;
      const trace = data.find(({ name }) => name && bare(text).startsWith(name));
      return trace?.marker ? `<span style="color:${trace.marker.color}">■</span> ${text}` : text;
    });
  };

  const traces = (data, scale) => data.map((trace) => {
    const made = { ...trace };
    if (trace.textfont?.size) made.textfont = { ...trace.textfont, size: Math.max(8, Math.round(trace.textfont.size * scale)) };
    if (trace.line?.width) made.line = { ...trace.line, width: Math.min(trace.line.width, 2.5) };
    if (typeof trace.marker?.size === "number") made.marker = { ...trace.marker, size: Math.min(trace.marker.size, 7) };
    return made;
  });

  // Ticks with names, wrapped; and the room that they need at the left.
  const named = (axis, data, key) => {
    if (axis.visible === false) return { left: 8 };
    const title = axis.title?.text ? 18 : 0;
    let texts = axis.tickmode === "array" ? axis.ticktext : null;
    if (!texts) {
      const own = data.filter((trace) => (trace[key[0] + "axis"] ?? key[0]) === key.replace("axis", ""));
      const words = [...new Set(own.flatMap((trace) => [...(trace[key[0]] ?? [])]))];
      if (!words.length || !words.some((word) => typeof word === "string" && /[a-z]/i.test(word))) return { left: 40 + title };
      texts = words;
      axis = { tickvals: words };
    }
    let lines = texts.map((text) => wrap(text, 17));
    if (lines.some(({ length }) => length > 2)) lines = texts.map((text) => wrap(text, 23));
    const longest = Math.max(...lines.flat().map((line) => bare(line).length));
    const ticks = { tickmode: "array", tickvals: axis.tickvals, ticktext: lines.map(joined) };
    return { left: 12 + title + Math.round(6.2 * longest), ticks };
  };

  function narrow({ data, layout }, width) {
    const room = (size, share = 0.54) => Math.floor((width - 14) / (size * share));
    const notes = layout.annotations ?? [];
    const title = wrap(layout.title?.text ?? "", room(TITLE));
    const sub = wrap(layout.title?.subtitle?.text ?? "", room(SUB, 0.56));
    const foot = wrap(bare(notes.find(isFoot)?.text ?? ""), room(SMALL, 0.57));
    const side = sideLines(notes, data);
    const made = { ...layout, width, autosize: false };
    const scale = Math.max(0.5, Math.min(0.7, width / 700));

    const places = panels(layout);
    const isHead = (note) => !isFoot(note) && !isSide(note) && note.yref === "paper" && note.yanchor === "bottom";
    const headText = ({ x, text }) => (x < 0 ? wrap(text, 9) : wrap(text, 99));
    const head = Math.max(0, ...notes.filter(isHead).map((note) => headText(note).length));
    const labels = places.map(({ y }) => named(layout[y], data, y));
    const margin = { l: Math.max(...labels.map(({ left }) => left), 8), r: 14 };
    margin.t = 14 + 21 * title.length + 18 * (title.length - 1) + 17 * sub.length + (head ? 12 + 14 * head : 6);
    const plotWidth = width - margin.l - margin.r;

    const old = layout.margin ?? {};
    const before = (layout.height ?? 450) - (old.t ?? 88) - (old.b ?? 96);
    let one = places.length > 1 ? 180 : Math.max(before, 220);
    const square = places.length === 1 && layout[places[0].y].scaleanchor && data[0].z;
    if (square) one = Math.ceil((plotWidth * square.length) / square[0].length);
    const plot = one * places.length + GAP * (places.length - 1);

    let below = square ? 8 : 14;
    places.forEach(({ x, y }, i) => {
      const axis = layout[x];
      const tall = axis.ticktext ? Math.max(...axis.ticktext.map((text) => wrap(text, 99).length)) : 1;
      if (axis.visible !== false && i === places.length - 1) below = 12 + 14 * tall + (axis.title?.text ? 22 : 0);
      made[x] = { ...axis, automargin: false, domain: [0, 1], tickfont: font({ font: axis.tickfont }, tall > 1 ? 9 : SMALL) };
      if (axis.title) made[x].title = { ...axis.title, font: font(axis.title, 12), standoff: 6 };
      if (axis.ticktext?.length > 12) made[x].tickfont.size = 8;
      const top = 1 - (i * (one + GAP)) / plot;
      made[y] = { ...layout[y], ...labels[i].ticks, automargin: false, tickfont: font({}, SMALL) };
      if (places.length > 1) made[y].domain = [Math.max(0, top - one / plot), top];
      if (layout[y].title) made[y].title = { ...layout[y].title, font: font(layout[y].title, 12), standoff: 4 };
      if (!axis.nticks && axis.tickmode !== "array" && axis.type !== "log") made[x].nticks = 6;
    });
    for (const key of axesOf(layout, "y")) if (!(made[key] !== layout[key])) made[key] = { ...layout[key], tickfont: font({}, SMALL) };

    let at = below; // px under the plot
    const shown = data.filter((trace) => trace.showlegend !== false && trace.name);
    const legend = layout.showlegend ?? (shown.length > 1 && !square && !layout.coloraxis);
    if (legend && !side.length) {
      const longest = Math.max(...shown.map(({ name }) => bare(name).length)) * 6.4 + 46;
      const rows = Math.ceil(shown.length / Math.max(1, Math.floor((width - 14) / longest)));
      const place = { orientation: "h", x: (4 - margin.l) / plotWidth, xanchor: "left", y: -at / plot, yanchor: "top", yref: "paper" };
      made.legend = { ...layout.legend, ...place, font: font(layout.legend, 12), bgcolor: "rgba(0,0,0,0)" };
      at += 19 * rows + 14;
    }
    const line = (text, size, y, more) => ({
      text, x: 0, y: 0, xref: "paper", yref: "paper", xanchor: "left", yanchor: "top", align: "left",
      xshift: 6 - margin.l, yshift: -y, showarrow: false, font: { size }, ...more,
    });
    const listed = side.map((text, i) => line(text, 12, at + 18 * i, { font: { size: 12, color: "#1f2933" } }));
    at += 18 * side.length + (side.length ? 6 : 0);
    const kept = notes.filter((note) => !isSide(note) && !isFoot(note)).map((note) => {
      const size = Math.max(9, Math.round((note.font?.size ?? 15) * 0.72));
      const changed = { ...note, font: font(note, size) };
      if (isHead(note)) changed.text = joined(headText(note));
      if (places.length > 1 && note.xref === "paper" && note.yref === "paper") {
        const near = (p) => Math.abs(p.left - note.x) * 10 + Math.abs(p.top - note.y);
        const i = places.reduce((best, p, k) => (near(p) < near(places[best]) ? k : best), 0);
        Object.assign(changed, { x: 0, y: 1 - (i * (one + GAP)) / plot });
      }
      return changed;
    });
    if (layout.sliders) {
      made.sliders = layout.sliders.map((slider) => ({ ...slider, x: 0, len: 1, y: -at / plot, yanchor: "top", pad: { t: 24 }, font: { size: 10 }, currentvalue: { ...slider.currentvalue, font: { size: 12 } } }));
      at += 104;
    }
    const source = notes.filter(isFoot).map((note) => line(joined(foot), SMALL, at, { font: font(note, SMALL), name: note.name, hovertext: note.hovertext }));
    margin.b = at + 14 * foot.length + 8;
    made.height = margin.t + plot + margin.b;
    made.margin = margin;
    made.annotations = [...kept, ...listed, ...source];
    const subtitle = { ...layout.title?.subtitle, text: joined(sub), font: font(layout.title?.subtitle, SUB) };
    made.title = { ...layout.title, text: joined(title), font: font(layout.title, TITLE), x: 0, pad: { l: 6 }, y: 1 - (8 + 22 * (title.length - 1)) / made.height, yanchor: "top", subtitle };
    return { data: traces(data, scale), layout: made };
  }

  const copy = (value) => JSON.parse(JSON.stringify(value));
  const states = new WeakMap(); // plot → its figure as it was made, and the width it was narrowed to
  const redraw = (plot) => {
    if (window.Plotly?.redraw) window.Plotly.redraw(plot);
    else window.dispatchEvent(new Event("resize"));
  };
  const put = (plot, figure) => {
    plot.data.forEach((trace, i) => Object.assign(trace, figure.data[i]));
    for (const key of Object.keys(plot.layout)) delete plot.layout[key];
    Object.assign(plot.layout, figure.layout);
    plot.style.height = figure.layout.height ? `${figure.layout.height}px` : "";
    redraw(plot);
  };
  const fit = (plot) => {
    const width = Math.floor(plot.clientWidth);
    const state = states.get(plot);
    if (!width || !plot.layout?.meta?.provenance || (state?.width ?? 0) === (width < NARROW ? width : 0)) return;
    if (width >= NARROW) {
      states.delete(plot);
      return put(plot, state.made);
    }
    const made = state?.made ?? copy({ data: plot.data, layout: plot.layout });
    states.set(plot, { made, width });
    put(plot, narrow(copy(made), width));
  };

  const watched = new WeakSet();
  const sizes = new ResizeObserver((entries) => {
    for (const { target } of entries) requestAnimationFrame(() => fit(target));
  });
  let waiting = 0;
  const look = () => {
    waiting = 0;
    for (const plot of document.querySelectorAll(".js-plotly-plot")) {
      if (!plot.layout || watched.has(plot)) continue;
      watched.add(plot);
      sizes.observe(plot);
    }
    for (const handle of document.querySelectorAll(".widget-slider .noUi-handle:not([aria-label])")) {
      const label = handle.closest(".widget-slider").querySelector(".widget-label");
      if (label) handle.setAttribute("aria-label", label.textContent.trim());
    }
  };
  const soon = () => { waiting ||= setTimeout(look, 150); };
  new MutationObserver(soon).observe(document.documentElement, { childList: true, subtree: true });
  window.kitOutputs = { look, narrow };
  look();
}

if (window.kitOutputs) window.kitOutputs.look();
else start();
