// The front end of ragvec.widgets.VectorMap: points on a canvas, a legend, a lasso. Every text becomes a text node.

// Told apart by people who see colours differently, too: the palette of Okabe and Ito, and grey for the others.
const LIGHT = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d1f", "#6a3d9a", "#b22222", "#767676"];
const DARK = ["#56b4e9", "#ff8c42", "#2fd6a3", "#f2a3cd", "#ffc247", "#9fd6f7", "#c9b458", "#b79be8", "#ff7b72", "#a0a0a0"];

let maps = 0;

/** Whether a point is within a polygon: a ray from it crosses the edges an odd number of times. */
function within(polygon, x, y) {
  let inside = false;
  for (let i = 0, j = polygon.length - 1; i < polygon.length; j = i++) {
    const [ax, ay] = polygon[i], [bx, by] = polygon[j];
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) inside = !inside;
  }
  return inside;
}

function render({ model, el }) {
  const id = `ragvec-map-${++maps}`;
  const canvas = h("canvas", { role: "img", tabindex: 0 });
  const colour = h("select", { id: `${id}-colour`, change: () => model.send({ do: "colour", name: colour.value }) });
  const legend = h("div", { class: "legend", role: "group", "aria-label": "Values" });
  const status = h("p", { class: "quiet", role: "status" });
  const about = h("p", { class: "about" });
  const error = h("div", { class: "error", role: "alert" });
  const clear = h("button", { type: "button", click: () => choose([]) }, "Choose none");
  const root = h("section", { class: "ragvec ragvec-map", "data-lm-suppress-shortcuts": "true" },
    h("div", { class: "row" }, h("div", { class: "field" }, h("label", { for: colour.id }, "Colour by"), colour), clear),
    error, h("div", { class: "columns" }, h("div", { class: "plot" }, canvas, about), legend), status);
  // A notebook's own keys, such as `a` for a cell above, are not for who works in here.
  root.addEventListener("keydown", (event) => event.stopPropagation());
  el.append(root);

  let chosen = new Set();
  let lasso = null;
  let near = -1;
  const view = () => model.get("_view");
  const floats = () => {
    const bytes = model.get("_places");
    return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
  };
  const groups = () => {
    const bytes = model.get("_groups");
    return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  };
  let places = floats();

  const isDark = () => {
    const [r, g, b] = (getComputedStyle(root).backgroundColor.match(/[\d.]+/g) ?? [255, 255, 255]).map(Number);
    return 0.299 * r + 0.587 * g + 0.114 * b < 128;
  };
  const side = () => canvas.clientWidth;
  const at = (i) => [((places[2 * i] + 1.06) / 2.12) * side(), ((1.06 - places[2 * i + 1]) / 2.12) * side()];

  function draw() {
    const size = side(), ratio = devicePixelRatio || 1;
    if (!size) return;
    canvas.width = canvas.height = Math.round(size * ratio);
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, size, size);
    const of = groups(), colours = isDark() ? DARK : LIGHT, radius = places.length > 6000 ? 2.2 : 3.4;
    const last = view().legend?.length - 1, others = view().legend?.[last]?.[0] === "others" ? last : -1;
    for (let i = 0; i < places.length / 2; i++) {
      const [x, y] = at(i);
      pen.globalAlpha = chosen.size && !chosen.has(i) ? 0.16 : 0.85;
      pen.fillStyle = colours[of[i] === others ? 9 : of[i]];
      pen.beginPath();
      pen.arc(x, y, i === near ? radius * 2 : radius, 0, 2 * Math.PI);
      pen.fill();
    }
    pen.globalAlpha = 1;
    if (lasso?.length > 1) {
      pen.strokeStyle = getComputedStyle(root).color;
      pen.setLineDash([5, 4]);
      pen.beginPath();
      lasso.forEach(([x, y], i) => (i ? pen.lineTo(x, y) : pen.moveTo(x, y)));
      pen.closePath();
      pen.stroke();
    }
  }

  function choose(points) {
    chosen = new Set(points);
    model.send({ do: "choose", points: [...chosen] });
    say();
    draw();
  }

  function say() {
    const shown = places.length / 2;
    const part = shown < view().total ? ` of ${view().total.toLocaleString("en")}` : "";
    const some = chosen.size ? ` · ${chosen.size.toLocaleString("en")} chosen` : " · draw around points to choose them";
    status.textContent = `${shown.toLocaleString("en")}${part} vectors, ${view().projection}${some}`;
    clear.disabled = !chosen.size;
    for (const button of legend.querySelectorAll("button")) {
      const of = groups(), group = Number(button.dataset.group);
      let own = 0, taken = 0;
      for (let i = 0; i < of.length; i++) if (of[i] === group) { own++; if (chosen.has(i)) taken++; }
      button.setAttribute("aria-pressed", String(own > 0 && own === taken));
    }
  }

  function show() {
    const now = view();
    if (!now?.legend) return;
    places = floats();
    root.setAttribute("aria-label", `Map of ${now.name}`);
    canvas.setAttribute("aria-label", `${places.length / 2} vectors of ${now.name} as points in a plane; the values beside it choose them`);
    colour.replaceChildren(...now.colours.map(([name, label]) => h("option", { value: name }, label)));
    colour.value = now.colour;
    error.textContent = now.error;
    error.hidden = !now.error;
    const colours = isDark() ? DARK : LIGHT;
    legend.replaceChildren(...now.legend.map(([text, count], group) => {
      const dot = h("span", { class: "dot" });
      dot.style.background = colours[text === "others" && group === now.legend.length - 1 ? 9 : group];
      return h("button", {
        type: "button", "data-group": group, "aria-pressed": "false",
        click: (event) => {
          const of = groups(), all = [...of.keys()].filter((i) => of[i] === group);
          const on = event.currentTarget.getAttribute("aria-pressed") === "true";
          choose(on ? [...chosen].filter((i) => of[i] !== group) : [...chosen, ...all]);
        },
      }, dot, h("bdi", {}, text), h("span", { class: "count" }, count.toLocaleString("en")));
    }));
    say();
    draw();
  }

  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    lasso = [place(event)];
  });
  canvas.addEventListener("pointermove", (event) => {
    const [x, y] = place(event);
    if (lasso) lasso.push([x, y]);
    else {
      let best = 100;
      near = -1;
      for (let i = 0; i < places.length / 2; i++) {
        const [px, py] = at(i), far = (px - x) ** 2 + (py - y) ** 2;
        if (far < best) [best, near] = [far, i];
      }
      about.textContent = near < 0 ? "" : view().about[near];
    }
    draw();
  });
  canvas.addEventListener("pointerup", () => {
    if (lasso?.length > 2) {
      const drawn = lasso;
      lasso = null;
      choose([...Array(places.length / 2).keys()].filter((i) => within(drawn, ...at(i))));
    }
    lasso = null;
    draw();
  });
  canvas.addEventListener("keydown", (event) => { if (event.key === "Escape") choose([]); });

  const sized = new ResizeObserver(draw);
  sized.observe(canvas);
  // Themes change without a word: the colours of the body do.
  const themed = new MutationObserver(() => setTimeout(show, 50));
  themed.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-name", "data-jp-theme-light", "class"] });
  model.on("change:_view", show);
  show();
  return () => {
    sized.disconnect();
    themed.disconnect();
    model.off("change:_view", show);
  };
}

export default { render };
