// The latent walk: a dot on a plane of latents, and beside it what each domain makes of the point where the dot stands.
// All images are there from the start, a byte for each value; the nearest point of the grid is shown as it is.

const STYLE = `
.pad { position: relative; width: 100%; max-width: 440px; aspect-ratio: 1; margin: 0 auto; border-radius: 6px;
  overflow: hidden; cursor: crosshair; touch-action: none; user-select: none; -webkit-user-select: none; }
.map { display: block; width: 100%; height: 100%; opacity: .4; }
.dot { position: absolute; width: 22px; height: 22px; margin: -11px 0 0 -11px; box-sizing: border-box; border-radius: 50%;
  background: var(--fake); border: 3px solid #fff; box-shadow: 0 0 0 1.5px #000; cursor: grab; outline: none; }
.pad:active, .pad:active .dot { cursor: grabbing; }
.dot:focus-visible { box-shadow: 0 0 0 1.5px #000, 0 0 0 5px var(--accent), 0 0 0 6.5px #fff; }
.domains { display: grid; gap: 12px; grid-template-columns: repeat(auto-fill, minmax(125px, 1fr)); }
.domain { margin: 0; min-width: 0; display: flex; flex-direction: column; gap: 4px; }
.domain canvas { display: block; width: 100%; height: auto; box-sizing: border-box; border: 1px solid var(--line);
  border-radius: 4px; image-rendering: pixelated; }
.domain figcaption { text-align: center; overflow-wrap: anywhere; }
.where { font-variant-numeric: tabular-nums; }
@container (min-width: 660px) {
  .card { grid-template-columns: minmax(0, 1.2fr) minmax(270px, 1fr); }
  .panel { justify-content: center; }
}`;

const SHELL = `
<figure class="figure"><div class="card">
  <div class="stage">
    <figcaption class="title"></figcaption>
    <div class="pad"><canvas class="map" width="720" height="720" role="img"></canvas>
      <div class="dot" role="slider" tabindex="0" aria-label="Point of the latent plane"
        aria-roledescription="slider in two directions"></div></div>
  </div>
  <div class="panel">
    <div class="domains"></div>
    <div class="where"></div>
    <div class="note">Drag the dot, or move it with the arrow keys. Each place is one latent; every domain is given the
      same.</div>
  </div></div></figure>`;

// Put image number `at` of a domain on a canvas of its size. One channel is grey, three are red, green and blue.
function paint(canvas, { width, height, channels, bytes }, at) {
  const picture = new ImageData(width, height), first = at * width * height * channels;
  for (let pixel = 0; pixel < width * height; pixel++) {
    for (let colour = 0; colour < 3; colour++) {
      picture.data[4 * pixel + colour] = bytes[first + pixel * channels + (colour % channels)];
    }
    picture.data[4 * pixel + 3] = 255;
  }
  canvas.getContext("2d").putImageData(picture, 0, 0);
}

const within = (value, count) => Math.min(Math.max(value, 0), count - 1);

/** Draw a plane of latents and its images into an element. Returns a function that takes the figure away again. */
export function mount(element, data) {
  const { find, followPage } = furnish(element, SHELL, STYLE, data.title);
  const pad = find(".pad"), map = find(".map"), dot = find(".dot"), { rows, columns } = data;
  const domains = data.domains.map((domain) => ({
    ...domain, bytes: Uint8Array.from(atob(domain.pixels), (letter) => letter.charCodeAt(0)), canvas: canvasFor(domain),
  }));
  let row = rows >> 1, column = columns >> 1;

  map.setAttribute("aria-label", data.description);
  dot.setAttribute("aria-valuemin", 1);
  dot.setAttribute("aria-valuemax", rows * columns);

  function canvasFor({ width, height }) {
    const canvas = document.createElement("canvas");
    Object.assign(canvas, { width, height });
    return canvas;
  }

  function lay() {
    for (const { name, canvas } of domains) {
      const part = find(".domains").appendChild(document.createElement("figure"));
      part.className = "domain";
      canvas.setAttribute("role", "img");
      part.append(canvas, document.createElement("figcaption"));
      part.lastChild.textContent = name;
    }
    // The first domain on all points, each image whole and in the middle of its cell.
    const tile = canvasFor(domains[0]), context = map.getContext("2d");
    const wide = map.width / columns, high = map.height / rows, scale = Math.min(wide / tile.width, high / tile.height);
    const width = scale * tile.width, height = scale * tile.height;
    for (let at = 0; at < rows * columns; at++) {
      paint(tile, domains[0], at);
      const x = (at % columns) * wide + (wide - width) / 2, y = Math.floor(at / columns) * high + (high - height) / 2;
      context.drawImage(tile, x, y, width, height);
    }
  }

  function show() {
    const place = `row ${row + 1} of ${rows}, column ${column + 1} of ${columns}`, at = row * columns + column;
    for (const domain of domains) {
      paint(domain.canvas, domain, at);
      domain.canvas.setAttribute("aria-label", `${domain.name} at ${place}`);
    }
    dot.style.left = `${(100 * (column + 0.5)) / columns}%`;
    dot.style.top = `${(100 * (row + 0.5)) / rows}%`;
    dot.setAttribute("aria-valuenow", at + 1);
    dot.setAttribute("aria-valuetext", place);
    find(".where").textContent = place[0].toUpperCase() + place.slice(1);
  }

  function go(toRow, toColumn) {
    row = within(toRow, rows);
    column = within(toColumn, columns);
    show();
  }

  function follow(event) {
    const box = pad.getBoundingClientRect();
    const down = (event.clientY - box.top) / box.height, right = (event.clientX - box.left) / box.width;
    go(Math.floor(down * rows), Math.floor(right * columns));
  }

  pad.addEventListener("pointerdown", (event) => {
    if (!event.isPrimary || event.button !== 0) return;
    event.preventDefault(); // nothing is selected, and the focus goes to the dot
    pad.setPointerCapture(event.pointerId);
    dot.focus({ preventScroll: true });
    follow(event);
  });
  pad.addEventListener("pointermove", (event) => {
    if (pad.hasPointerCapture(event.pointerId)) follow(event);
  });
  dot.addEventListener("keydown", (event) => {
    const to = { ArrowUp: [row - 1, column], ArrowDown: [row + 1, column], ArrowLeft: [row, column - 1],
      ArrowRight: [row, column + 1], Home: [row, 0], End: [row, columns - 1], PageUp: [0, column],
      PageDown: [rows - 1, column] }[event.key];
    if (!to || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    go(...to);
  });

  lay();
  show();

  return followPage();
}
