// The replay of two-dimensional training, on a canvas: the discriminator's surface, real points, and generated points
// that move from frame to frame. `mount` draws a recording into an element, in the book and on slides alike; the default
// export is the same figure as an anywidget, where Python plays the next rounds whenever the figure asks for them.

const FRAMES_PER_SECOND = 4;

// From D(x) = 0 (taken for generated) through 1/2 to 1 (taken for real). Okabe and Ito's blue and vermilion.
const THEMES = {
  light: {
    surface: [[242, 180, 138], [251, 228, 212], [255, 255, 255], [213, 232, 243], [143, 193, 223]],
    real: "#0072B2", fake: "#D55E00", halo: "rgba(255,255,255,.85)", ink: "#2b2f36",
  },
  dark: {
    surface: [[112, 54, 20], [66, 38, 26], [27, 30, 36], [22, 52, 72], [16, 84, 124]],
    real: "#6cc0f5", fake: "#ff9d4d", halo: "rgba(15,17,21,.8)", ink: "#e9ebef",
  },
};

const STYLE = `
.stage { display: block; position: relative; width: 100%; max-width: 480px; aspect-ratio: 1; margin: 0 auto; }
canvas { display: block; width: 100%; height: 100%; border-radius: 6px; }
.panel { gap: 12px; }
.round { font-size: 30px; line-height: 1.1; font-weight: 300; font-variant-numeric: tabular-nums; letter-spacing: -.01em; }
.found { color: var(--soft); font-variant-numeric: tabular-nums; min-height: 1.45em; }
.track { display: grid; gap: 2px; }
.track svg { display: block; width: calc(100% - 16px); height: 44px; margin: 0 8px; overflow: visible; }
.track .names { display: flex; gap: 14px; color: var(--soft); font-size: 12px; margin: 0 8px 4px; flex-wrap: wrap; }
.dash { display: inline-block; width: 16px; height: 0; border-top: 2px solid; margin-right: 5px; vertical-align: 4px; }
.row { display: flex; flex-wrap: wrap; gap: 8px 12px; align-items: center; }
button { font: inherit; color: inherit; background: transparent; border: 1px solid var(--line); border-radius: 7px;
  min-height: 36px; padding: 0 12px; cursor: pointer; }
select { padding: 0 12px; }
button.main { display: inline-flex; align-items: center; gap: 8px; min-width: 96px; justify-content: center;
  background: var(--accent); border-color: var(--accent); color: #fff; font-weight: 600; }
.figure[data-theme="dark"] button.main { color: #10151b; }
button:hover { border-color: var(--accent); }
option { background-color: var(--card); }
label { display: inline-flex; align-items: center; gap: 7px; min-height: 36px; }
.dot { width: 9px; height: 9px; border-radius: 50%; flex: none; }
.ramp { width: 56px; height: 10px; border-radius: 3px; border: 1px solid var(--line); flex: none; }
.contour { width: 16px; border-top: 2px solid var(--ink); flex: none; }
@container (min-width: 660px) {
  .card { grid-template-columns: minmax(0, 1.25fr) minmax(230px, 1fr); }
  .panel { justify-content: center; }
}`;

const SHELL = `
<figure class="figure"><div class="card">
  <div class="stage"><canvas role="img"></canvas></div>
  <div class="panel">
    <figcaption class="title"></figcaption>
    <output class="status"><span class="round"></span><div class="found"></div></output>
    <div class="track">
      <div class="names" hidden><span><i class="dash" style="border-color:var(--fake)"></i>points within 3σ</span>
        <span><i class="dash" style="border-color:var(--soft);border-top-style:dotted"></i>modes found</span></div>
      <svg viewBox="0 0 100 40" preserveAspectRatio="none" aria-hidden="true" hidden>
        <path class="modes" fill="none" stroke="var(--soft)" stroke-width="2" stroke-dasharray="2 3"
          vector-effect="non-scaling-stroke"/>
        <path class="quality" fill="none" stroke="var(--fake)" stroke-width="2" vector-effect="non-scaling-stroke"/>
        <path class="cursor" stroke="var(--ink)" stroke-width="1" vector-effect="non-scaling-stroke"/>
      </svg>
      <input class="slider" type="range" min="0" step="1" value="0" aria-label="Frame of the recording">
    </div>
    <div class="row">
      <button class="main" type="button"><svg width="12" height="12" viewBox="0 0 12 12" aria-hidden="true"><path
        fill="currentColor"/></svg><span></span></button>
      <button class="step" type="button" hidden>Step</button>
      <label>Speed <select class="speed"><option value="0.125">⅛ slow</option>
        <option value="0.25">¼ slow</option><option value="0.5">½</option><option value="1" selected>1</option>
        <option value="2">2</option><option value="4">4</option></select></label>
      <label class="pulls"><input type="checkbox" class="arrows" checked> Gradients</label>
    </div>
    <div class="legend"><span><i class="dot" style="background:var(--real)"></i>real</span>
      <span><i class="dot" style="background:var(--fake)"></i>generated</span>
      <span>D(x): 0 <i class="ramp"></i> 1</span><span><i class="contour"></i>D(x) = ½</span></div>
  </div></div></figure>`;

const PLAY = "M2 0.5 L11 6 L2 11.5 Z", PAUSE = "M1.5 0.5 H4.5 V11.5 H1.5 Z M7.5 0.5 H10.5 V11.5 H7.5 Z";

function decode(text, Type) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return new Type(bytes.buffer);
}

// Positions and gradients come as whole numbers: 32767 stands for `reach`, twice the extent for positions.
function unpack(frame, extent) {
  const scale = (values, reach) => Float32Array.from(values, (value) => (value / 32767) * reach);
  return {
    round: frame.round, modes: frame.modes, total: frame.total, quality: frame.quality, reach: frame.reach,
    fake: scale(decode(frame.fake, Int16Array), 2 * extent),
    pull: scale(decode(frame.pull, Int16Array), frame.reach),
    surface: Float32Array.from(decode(frame.surface, Uint8Array), (value) => value / 255),
  };
}

const blend = (a, b, t) => (t === 0 ? a : a.map((value, i) => value + (b[i] - value) * t));

function shade(stops, value) {
  const place = Math.min(Math.max(value, 0), 1) * (stops.length - 1);
  const low = Math.min(Math.floor(place), stops.length - 2);
  return stops[low].map((channel, i) => channel + (stops[low + 1][i] - channel) * (place - low));
}

// Marching squares: the line where a square grid of values crosses `level`, as one path.
function contour(values, side, level, toX, toY) {
  const path = new Path2D();
  const cross = (a, b) => (level - a) / (b - a);
  for (let row = 0; row + 1 < side; row++) {
    for (let column = 0; column + 1 < side; column++) {
      const at = row * side + column;
      const a = values[at], b = values[at + 1], c = values[at + side + 1], d = values[at + side];
      const points = [];
      if (a < level !== b < level) points.push([column + cross(a, b), row]);
      if (b < level !== c < level) points.push([column + 1, row + cross(b, c)]);
      if (d < level !== c < level) points.push([column + cross(d, c), row + 1]);
      if (a < level !== d < level) points.push([column, row + cross(a, d)]);
      for (let i = 0; i + 1 < points.length; i += 2) {
        path.moveTo(toX(points[i][0]), toY(points[i][1]));
        path.lineTo(toX(points[i + 1][0]), toY(points[i + 1][1]));
      }
    }
  }
  return path;
}

/**
 * Draw a recording into an element. Returns a function that takes the figure away again.
 * `source`, where there is one, plays on: `source.step()` asks for the next frame, `source.listen(callback)` delivers.
 */
export function mount(element, data, source = null) {
  const { find, followPage } = furnish(element, SHELL, STYLE, data.title);
  const canvas = find("canvas"), slider = find(".slider"), main = find(".main");
  const context = canvas.getContext("2d");
  const tile = document.createElement("canvas"), { side, extent } = data;
  tile.width = tile.height = side;

  const real = decode(data.real, Int16Array), frames = data.frames.map((f) => unpack(f, extent));
  const realScale = (2 * extent) / 32767;
  const stillness = matchMedia("(prefers-reduced-motion: reduce)");
  const number = new Intl.NumberFormat("en-GB");
  let position = data.autoplay && !stillness.matches ? 0 : frames.length - 1;
  let playing = false, waiting = false, finished = !source, problem = "", before = 0, request = 0, theme = THEMES.light;

  canvas.setAttribute("aria-label", data.description);
  find(".pulls").hidden = !frames.some((frame) => frame.pull.length);
  find(".step").hidden = !source;

  function words(frame) {
    const parts = [];
    if (frame.modes != null) parts.push(`${frame.modes} of ${frame.total} modes found`);
    if (frame.quality != null) parts.push(`${Math.round(100 * frame.quality)} % of points within 3σ`);
    return parts.join(", ");
  }

  function drawTrack() {
    const shown = frames.some((frame) => frame.quality != null) && frames.length > 1;
    for (const part of [find(".track svg"), find(".names")]) part.toggleAttribute("hidden", !shown);
    if (!shown) return;
    const line = (value) => "M" + frames.map((frame, i) =>
      `${((100 * i) / (frames.length - 1)).toFixed(2)} ${(40 - 40 * value(frame)).toFixed(2)}`).join("L");
    find(".quality").setAttribute("d", line((frame) => frame.quality ?? 0));
    find(".modes").setAttribute("d", line((frame) => (frame.total ? frame.modes / frame.total : 0)));
  }

  function draw() {
    const low = Math.floor(position), high = Math.min(low + 1, frames.length - 1);
    const t = stillness.matches ? 0 : position - low, a = frames[low], b = frames[high];
    const width = canvas.width, toX = (x) => ((x / extent + 1) / 2) * width, toY = (y) => ((1 - y / extent) / 2) * width;
    const unit = width / 460;

    const values = blend(a.surface, b.surface, t), pixels = context.createImageData(side, side);
    for (let i = 0; i < values.length; i++) {
      const flipped = (side - 1 - Math.floor(i / side)) * side + (i % side); // the grid counts upwards
      pixels.data.set([...shade(theme.surface, values[i]), 255], 4 * flipped);
    }
    tile.getContext("2d").putImageData(pixels, 0, 0);
    const cell = width / (side - 1);
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = "high";
    context.drawImage(tile, -cell / 2, -cell / 2, width + cell, width + cell);
    context.strokeStyle = theme.ink;
    context.lineWidth = 1.6 * unit;
    context.stroke(contour(values, side, 0.5, (x) => x * cell, (y) => width - y * cell));

    context.fillStyle = theme.real;
    context.globalAlpha = 0.75;
    context.beginPath();
    for (let i = 0; i < real.length; i += 2) {
      const x = toX(real[i] * realScale), y = toY(real[i + 1] * realScale);
      context.moveTo(x, y);
      context.arc(x, y, 1.9 * unit, 0, 7);
    }
    context.fill();
    context.globalAlpha = 1;

    const fake = blend(a.fake, b.fake, t);
    context.beginPath();
    for (let i = 0; i < fake.length; i += 2) {
      const x = toX(fake[i]), y = toY(fake[i + 1]);
      context.moveTo(x + 2.8 * unit, y);
      context.arc(x, y, 2.8 * unit, 0, 7);
    }
    context.fillStyle = theme.fake;
    context.fill();
    context.strokeStyle = theme.halo; // so that points are told apart where they crowd
    context.lineWidth = 0.7 * unit;
    context.stroke();

    if (find(".arrows").checked) {
      // One scale for all frames, so that a gradient that vanishes is seen to vanish.
      const pull = blend(a.pull, b.pull, t), scale = (0.3 * width) / Math.max(...frames.map((frame) => frame.reach), 1e-9);
      context.beginPath();
      for (let i = 0; i < pull.length; i += 2) {
        const x = toX(fake[i]), y = toY(fake[i + 1]), dx = pull[i] * scale, dy = -pull[i + 1] * scale;
        const length = Math.hypot(dx, dy), head = Math.min(5 * unit, 0.6 * length);
        if (length < 1.5 * unit) continue;
        const ux = dx / length, uy = dy / length;
        context.moveTo(x, y);
        context.lineTo(x + dx, y + dy);
        context.moveTo(x + dx - head * (ux + 0.6 * uy), y + dy - head * (uy - 0.6 * ux));
        context.lineTo(x + dx, y + dy);
        context.lineTo(x + dx - head * (ux - 0.6 * uy), y + dy - head * (uy + 0.6 * ux));
      }
      context.strokeStyle = theme.ink;
      context.lineWidth = 1.3 * unit;
      context.lineCap = context.lineJoin = "round";
      context.stroke();
    }
    describe(a);
  }

  function describe(frame) {
    const round = `Round ${number.format(frame.round)}`, index = Math.floor(position);
    find(".round").textContent = round;
    find(".found").textContent = problem || (waiting ? "training …" : words(frame));
    slider.max = frames.length - 1;
    slider.value = index;
    slider.setAttribute("aria-valuetext", [round, words(frame)].filter(Boolean).join(", "));
    const x = (100 * position) / Math.max(frames.length - 1, 1);
    find(".cursor").setAttribute("d", `M${x} -3V43`);
    // Read out what was chosen, not what runs past.
    find(".status").setAttribute("aria-live", playing ? "off" : "polite");
    main.querySelector("span").textContent = playing ? "Pause" : finished ? "Play" : "Train";
    main.querySelector("path").setAttribute("d", playing ? PAUSE : PLAY);
  }

  function ask() {
    waiting = true;
    source.step();
  }

  function advance(now) {
    request = 0;
    if (!playing) return;
    // A browser may stamp its frame before the click that asked for it; and after a pause of the page no leap is made.
    const seconds = Math.min(Math.max((now - before) / 1000, 0), 0.1);
    before = now;
    const last = frames.length - 1;
    position = Math.min(position + seconds * FRAMES_PER_SECOND * Number(find(".speed").value), last);
    if (position === last) {
      if (finished) playing = false;
      else if (!waiting) ask();
    }
    draw();
    if (playing) request = requestAnimationFrame(advance);
  }

  function play() {
    if (finished && position >= frames.length - 1) position = 0;
    playing = true;
    problem = "";
    before = performance.now();
    request ||= requestAnimationFrame(advance);
    draw();
  }

  function pause() {
    playing = false;
    draw();
  }

  function receive(message) {
    waiting = false;
    problem = message.error ?? "";
    if (problem) playing = false;
    if (message.frame && message.index === frames.length) {
      const follows = !playing && position >= frames.length - 1;
      frames.push(unpack(message.frame, extent));
      if (follows) position = frames.length - 1;
      drawTrack();
    }
    finished = message.finished ?? finished;
    find(".step").disabled = finished;
    draw();
  }

  main.addEventListener("click", () => (playing ? pause() : play()));
  find(".step").addEventListener("click", () => {
    playing = false;
    position = frames.length - 1;
    if (!waiting && !finished) ask();
    draw();
  });
  slider.addEventListener("input", () => {
    playing = false;
    position = Number(slider.value);
    draw();
  });
  find(".arrows").addEventListener("change", draw);

  function dress(name) {
    theme = THEMES[name];
    find(".ramp").style.background = `linear-gradient(90deg, ${theme.surface.map((c) => `rgb(${c})`).join(",")})`;
    draw();
  }
  function fitCanvas() {
    const size = Math.max(Math.round(canvas.clientWidth * (window.devicePixelRatio || 1)), 1);
    if (canvas.width === size && canvas.height === size) return;
    canvas.width = canvas.height = size;
    draw();
  }

  const resized = new ResizeObserver(fitCanvas);
  resized.observe(canvas);
  // Play once when first seen, unless the reader asked for stillness or Python would have to train for it.
  const seen = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    seen.disconnect();
    if (!source && !stillness.matches && data.autoplay && frames.length > 1 && position === 0) play();
  }, { threshold: 0.6 });
  seen.observe(canvas);
  const silence = source?.listen(receive);

  drawTrack();
  fitCanvas();
  const leave = followPage(dress);

  return () => {
    playing = false;
    cancelAnimationFrame(request);
    resized.disconnect();
    seen.disconnect();
    silence?.();
    leave();
  };
}

export default {
  render({ model, el }) {
    const source = {
      step: () => model.send({ command: "step" }),
      listen(callback) {
        model.on("msg:custom", callback);
        return () => model.off("msg:custom", callback);
      },
    };
    const dispose = mount(el, model.get("data"), source);
    model.send({ command: "hello" }); // asks for the frames that were recorded since the widget was made
    return dispose;
  },
};
