// Starts the slides, and draws a slide's figure when it is shown: as large as its place, its letters too.
const WIDTH = 1280, HEIGHT = 800, DRAWN = 940; // px; a figure is laid out this wide, then enlarged

// Words that are too many for the slide are set smaller, down to two thirds.
const fit = (slide) => {
  const wide = () => [...slide.querySelectorAll("pre, table")].some((e) => e.scrollWidth > WIDTH - 60);
  for (let size = 28; size >= 20 && (slide.scrollHeight > HEIGHT || wide()); size -= 2) {
    slide.style.setProperty("--kit-size", `${size}px`);
  }
};

const show = (slide) => {
  fit(slide);
  draw(slide);
};

const draw = (slide) => {
  for (const box of slide?.querySelectorAll(".kit-figure-plot:not(.kit-drawn)") ?? []) {
    box.classList.add("kit-drawn");
    const { data, layout } = JSON.parse(box.querySelector("script").textContent);
    const height = layout.height ?? 480;
    const room = HEIGHT - 24 - box.offsetTop;
    const scale = Math.min((WIDTH - 60) / DRAWN, room / height);
    box.style.cssText = `height:${height * scale}px;margin-left:${(WIDTH - 60 - DRAWN * scale) / 2}px`;
    const place = document.createElement("div");
    place.style.cssText = `position:absolute;visibility:hidden;width:${DRAWN}px`;
    document.body.append(place); // letters are measured where nothing is enlarged
    Plotly.newPlot(place, data, { ...layout, width: DRAWN, height }, { staticPlot: true }).then(() => {
      place.style.cssText = `width:${DRAWN}px;height:${height}px;transform:scale(${scale});transform-origin:0 0`;
      box.append(place);
    });
  }
};

Reveal.initialize({
  width: WIDTH, height: HEIGHT, margin: 0.03, center: false, hash: true, slideNumber: "c/t",
  transition: "none", plugins: [RevealNotes],
}).then(() => {
  show(Reveal.getCurrentSlide());
  Reveal.on("slidechanged", ({ currentSlide }) => show(currentSlide));
});
