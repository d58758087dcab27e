// Sentences: what writers write at each setting of a dial, and where that puts them on a plane of two numbers.
// Everything is there from the start; nothing is computed in the page.

const STYLE = `
svg { display: block; width: 100%; height: auto; overflow: visible; }
svg text { font-size: 12px; fill: var(--soft); font-variant-numeric: tabular-nums; }
.frame { fill: none; stroke: var(--line); }
.path { fill: none; stroke: var(--soft); stroke-width: 1.5; opacity: .45; }
.path.on { stroke: var(--accent); stroke-width: 2.5; opacity: 1; }
.at { fill: var(--fake); stroke: var(--card); stroke-width: 2; }
.mark { fill: var(--green); }
label { display: flex; flex-wrap: wrap; gap: 4px 10px; align-items: center; }
.where { display: block; font-variant-numeric: tabular-nums; color: var(--ink); }
.lines { margin: 0; padding: 10px 12px; border: 1px solid var(--line); border-radius: 6px; list-style: none;
  font: 13px/1.7 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
.lines li:empty::before { content: "\\00a0"; }
@container (min-width: 660px) {
  .card { grid-template-columns: minmax(0, 1.1fr) minmax(270px, 1fr); }
}`;

const SHELL = `
<figure class="figure"><div class="card">
  <div class="stage">
    <figcaption class="title"></figcaption>
    <svg viewBox="0 0 440 320" role="img"></svg>
  </div>
  <div class="panel">
    <label>Writer <select></select></label>
    <label class="dial"><span class="name"></span> <span class="setting"></span>
      <input type="range" min="0" step="1"></label>
    <output class="where" aria-live="polite"></output>
    <ol class="lines" aria-label="Lines"></ol>
  </div></div></figure>`;

const NS = "http://www.w3.org/2000/svg";
const LEFT = 46, RIGHT = 430, TOP = 12, BOTTOM = 276;

const rounded = (value) => Number(value.toPrecision(3)).toString();

// The ends of an axis: the smallest and largest value with a little room; a single value stands in the middle.
function ends(values) {
  const low = Math.min(...values), high = Math.max(...values), room = (high - low) * 0.06 || Math.abs(low) * 0.1 || 1;
  return [low - room, high + room];
}

/** Draw writers into an element. Returns a function that takes the figure away again. */
export function mount(element, data) {
  const { find, followPage } = furnish(element, SHELL, STYLE, data.title);
  const plane = find("svg"), choice = find("select"), dial = find("input");
  const { writers, settings, axes, mark } = data;
  const all = writers.flatMap(({ points }) => points).concat(mark ? [mark] : []);
  const [across, up] = [0, 1].map((axis) => ends(all.map((point) => point[axis])));
  const [least, most] = [Math.min, Math.max].map((end) => [0, 1].map((axis) => end(...all.map((point) => point[axis]))));
  const x = (value) => LEFT + ((value - across[0]) / (across[1] - across[0])) * (RIGHT - LEFT);
  const y = (value) => BOTTOM - ((value - up[0]) / (up[1] - up[0])) * (BOTTOM - TOP);

  find(".name").textContent = data.dial;
  plane.setAttribute("aria-label", data.description);
  dial.setAttribute("aria-label", data.dial);
  dial.max = settings.length - 1;
  dial.value = data.start;
  for (const { name } of writers) choice.append(new Option(name));

  function draw(kind, attributes, words = "") {
    const part = plane.appendChild(document.createElementNS(NS, kind));
    for (const [name, value] of Object.entries(attributes)) part.setAttribute(name, value);
    part.textContent = words;
    return part;
  }

  draw("rect", { class: "frame", x: LEFT, y: TOP, width: RIGHT - LEFT, height: BOTTOM - TOP });
  for (const [value, anchor] of [[least[0], "start"], [most[0], "end"]]) {
    draw("text", { x: x(value), y: BOTTOM + 16, "text-anchor": anchor }, rounded(value));
  }
  for (const value of [least[1], most[1]]) {
    draw("text", { x: LEFT - 5, y: y(value) + 4, "text-anchor": "end" }, rounded(value));
  }
  draw("text", { x: (LEFT + RIGHT) / 2, y: BOTTOM + 34, "text-anchor": "middle" }, axes[0]);
  draw("text", { transform: `translate(14 ${(TOP + BOTTOM) / 2}) rotate(-90)`, "text-anchor": "middle" }, axes[1]);
  const paths = writers.map(({ points }) =>
    draw("polyline", { class: "path", points: points.map((point) => `${x(point[0])},${y(point[1])}`).join(" ") }));
  if (mark) {
    const [a, b] = [x(mark[0]), y(mark[1])];
    draw("path", { class: "mark", d: `M${a} ${b - 8}l6 8l-6 8l-6 -8z` });
  }
  const dot = draw("circle", { class: "at", r: 7 });

  function show() {
    const at = Number(dial.value), { name, points, lines } = writers[choice.selectedIndex];
    paths.forEach((path, place) => path.classList.toggle("on", place === choice.selectedIndex));
    dot.setAttribute("cx", x(points[at][0]));
    dot.setAttribute("cy", y(points[at][1]));
    dial.setAttribute("aria-valuetext", settings[at]);
    find(".setting").textContent = settings[at];
    find(".where").textContent =
      `${name}, ${data.dial} ${settings[at]}. ${axes.map((axis, i) => `${axis}: ${rounded(points[at][i])}`).join("; ")}`;
    find(".lines").replaceChildren(...lines[at].map((line) => {
      const item = document.createElement("li");
      item.textContent = line;
      return item;
    }));
  }

  choice.addEventListener("change", show);
  dial.addEventListener("input", show);

  show();

  return followPage();
}
