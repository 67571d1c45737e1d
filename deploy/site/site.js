// Draws the figures of a page as they come into view, and sorts long tables by a column.
(() => {
  const draw = (box) => {
    const { data, layout } = JSON.parse(box.querySelector("script").textContent);
    const place = box.appendChild(document.createElement("div"));
    Plotly.newPlot(place, data, layout, { displayModeBar: false, displaylogo: false, responsive: true });
  };
  const seen = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      seen.unobserve(target);
      draw(target);
    }
  }, { rootMargin: "400px" });
  const boxes = [...document.querySelectorAll(".kit-figure-plot")];
  for (const box of boxes) seen.observe(box);
  addEventListener("beforeprint", () => {
    for (const box of boxes) if (!box.querySelector(".js-plotly-plot")) draw(box);
  });

  const LONG = 15; // rows; a shorter table is seen whole
  const number = (text) => parseFloat(text.replaceAll(",", "").replace(/^[~−]/, "-"));
  const sort = (table, column, down) => {
    const rows = [...table.tBodies[0].rows];
    const key = (row) => row.cells[column].textContent.trim();
    const numbers = rows.every((row) => !key(row) || /^[~−-]?[\d.,]+/.test(key(row)));
    const order = (a, b) => (numbers ? (number(key(a)) || 0) - (number(key(b)) || 0) : key(a).localeCompare(key(b)));
    table.tBodies[0].append(...rows.sort((a, b) => (down ? order(b, a) : order(a, b))));
  };
  for (const table of document.querySelectorAll("article table")) {
    if (!table.tHead || table.tBodies[0]?.rows.length < LONG) continue;
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      if (!head.textContent.trim()) return; // a column without a name has no button
      const button = document.createElement("button");
      button.type = "button";
      button.className = "kit-sort";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        sort(table, column, down);
      });
    });
  }
  // the theme's button is named by what stands on it
  document.querySelector(".search-button__button")?.removeAttribute("aria-label");
  // what scrolls sideways is reached by keyboard
  for (const box of document.querySelectorAll("pre, article table, .pst-scrollable-table-container, .cell_output .output")) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
  }
})();
