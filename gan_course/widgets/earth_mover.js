// The earth mover: a pile of earth above a line, holes below it, and a plan that says what goes where, as paths and as a
// matrix. The reader shifts the pile, takes a plan, or lets two entries of the matrix exchange where they go.

const STYLE = `
.figure { --purple: #AA4499; --mass: 0,114,178; }
.figure[data-theme="dark"] { --purple: #e08ad0; --mass: 108,192,245; }
svg { display: block; width: 100%; height: auto; overflow: visible; }
svg text { font-size: 11px; fill: var(--soft); }
.cost { font-size: 30px; line-height: 1.1; font-weight: 300; font-variant-numeric: tabular-nums; letter-spacing: -.01em; }
.cost small { font-size: 14px; color: var(--soft); letter-spacing: 0; }
.found { color: var(--soft); font-variant-numeric: tabular-nums; }
.row { display: flex; flex-wrap: wrap; gap: 6px 12px; align-items: center; }
.row label { display: inline-flex; align-items: center; gap: 7px; min-height: 36px; }
.plan { display: grid; gap: 2px; }
.plan > div { display: contents; }
.plan span { font-size: 11px; color: var(--soft); display: grid; place-items: center; min-width: 0; }
.cell { all: unset; box-sizing: border-box; aspect-ratio: 1; border: 1px solid var(--line); border-radius: 3px; font-size: 10px;
  display: grid; place-items: center; cursor: pointer; min-width: 0; font-variant-numeric: tabular-nums; color: var(--ink); }
.cell.dark { color: var(--card); }
.cell[aria-selected=true] { outline: 3px solid var(--fake); outline-offset: 0; }
.cell:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.legend i { width: 16px; border-top: 2px solid; flex: none; }
@container (min-width: 660px) {
  .card { grid-template-columns: minmax(0, 1.35fr) minmax(230px, 1fr); }
}`;

const SHELL = `
<figure class="figure"><div class="card">
  <div class="stage">
    <figcaption class="title"></figcaption>
    <svg class="earth" viewBox="0 0 460 250" role="img"></svg>
    <label>Shift of the pile <span class="where"></span>
      <input class="slider" type="range" step="1" aria-label="Shift of the pile"></label>
    <svg class="curves" viewBox="0 0 460 142" aria-hidden="true"></svg>
    <div class="legend"><span><i style="border-color:var(--fake)"></i>this plan</span>
      <span><i style="border-color:var(--green);border-top-width:5px"></i>best plan: W₁</span>
      <span><i style="border-color:var(--purple);border-top-style:dotted"></i>Jensen–Shannon divergence</span></div>
  </div>
  <div class="panel">
    <output class="status" aria-live="polite"><div class="cost"></div><div class="found"></div></output>
    <div class="row">
      <label>Plan <select class="plans"><option value="best">best</option><option value="crosswise">crosswise</option>
        <option value="even">spread evenly</option><option value="own" disabled>your own</option></select></label>
      <label><input type="checkbox" class="critic"> Critic</label>
    </div>
    <div class="plan" role="grid" aria-label="The plan: rows are places of the pile, columns are holes"></div>
    <div class="note">Rows: from. Columns: to. Choose two entries, and they exchange where they go.</div>
  </div></div></figure>`;

const NS = "http://www.w3.org/2000/svg";
const TINY = 1e-9;
const WIDE = 460;

const occupied = (shares) => shares.map((share, place) => ({ share, place })).filter(({ share }) => share > 0);

// From the first pile into the first hole until one of them is done with. On a line no plan is shorter; and none is
// longer than this with the holes taken from the far end.
function filled(pile, holes, backwards = false) {
  const plan = pile.map(() => holes.map(() => 0));
  const left = pile.map(({ share }) => share), space = holes.map(({ share }) => share);
  const order = holes.map((_, j) => (backwards ? holes.length - 1 - j : j));
  for (let i = 0, k = 0; i < pile.length && k < holes.length; ) {
    const j = order[k], mass = Math.min(left[i], space[j]);
    plan[i][j] += mass;
    left[i] -= mass;
    space[j] -= mass;
    if (left[i] <= TINY) i++;
    if (space[j] <= TINY) k++;
  }
  return plan;
}

const PLANS = {
  best: (pile, holes) => filled(pile, holes),
  crosswise: (pile, holes) => filled(pile, holes, true),
  even: (pile, holes) => pile.map((from) => holes.map((to) => from.share * to.share)),
};

function costOf(plan, pile, holes, shift) {
  let cost = 0;
  plan.forEach((row, i) => row.forEach((mass, j) => (cost += mass * Math.abs(pile[i].place + shift - holes[j].place))));
  return cost;
}

function divergence(p, q) {
  const part = (a, m) => (a > 0 ? a * Math.log(a / m) : 0);
  return p.reduce((sum, a, k) => sum + (part(a, (a + q[k]) / 2) + part(q[k], (a + q[k]) / 2)) / 2, 0);
}

// The 1-Lipschitz function with the largest mean over the holes less that over the pile: between two places it rises
// where more of the pile than of the holes lies behind, and falls where less does.
function critic(p, q) {
  const values = [0];
  let ahead = 0;
  for (let k = 0; k + 1 < p.length; k++) {
    ahead += p[k] - q[k];
    values.push(values[k] + (Math.abs(ahead) < TINY ? 0 : Math.sign(ahead)));
  }
  const middle = (Math.max(...values) + Math.min(...values)) / 2;
  return values.map((value) => value - middle);
}

function draw(parent, name, attributes, words) {
  const node = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (words !== undefined) node.textContent = words;
  parent.append(node);
  return node;
}

const path = (points) => "M" + points.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L");

/** Draw a pile and its holes into an element. Returns a function that takes the figure away again. */
export function mount(element, data) {
  const { find, followPage } = furnish(element, SHELL, STYLE, data.title);
  const earth = find(".earth"), curves = find(".curves"), slider = find(".slider");
  const plans = find(".plans"), grid = find(".plan");

  const places = data.pile.length, pile = occupied(data.pile), holes = occupied(data.holes);
  const least = -pile[0].place, most = places - 1 - pile[pile.length - 1].place;
  let shift = data.shift, plan = PLANS.best(pile, holes), chosen = null, focus = [0, 0], news = "";

  earth.setAttribute("aria-label", data.description);
  slider.min = least;
  slider.max = most;
  slider.disabled = least === most;

  const step = (WIDE - 20) / places, toX = (place) => 10 + step * (place + 0.5);
  const high = Math.max(...data.pile, ...data.holes);
  const distance = (i, j) => Math.abs(pile[i].place + shift - holes[j].place);
  const moved = (by) => data.pile.map((_, k) => data.pile[k - by] ?? 0);
  // The critic's mean score over the holes less that over the pile.
  const lift = () => critic(moved(shift), data.holes).reduce((sum, value, k) => sum + value * (data.holes[k] - moved(shift)[k]), 0);
  const best = (by) => costOf(PLANS.best(pile, holes), pile, holes, by);

  function drawEarth() {
    earth.replaceChildren();
    const top = 84, bottom = 156, tall = 68, wide = 0.78 * step, thick = wide / high;
    pile.forEach(({ share, place }) => draw(earth, "rect", { x: toX(place + shift) - wide / 2, width: wide, y: top
      - (tall * share) / high, height: (tall * share) / high, fill: "var(--fake)", rx: 2 }));
    holes.forEach(({ share, place }) => draw(earth, "rect", { x: toX(place) - wide / 2, width: wide, y: bottom,
      height: (tall * share) / high, fill: "var(--real)", rx: 2 }));
    // Paths leave a pile, and enter a hole, side by side in the order of where they go and come from.
    const out = pile.map(({ share }) => (-share * thick) / 2), into = holes.map(({ share }) => (-share * thick) / 2);
    plan.forEach((row, i) => row.forEach((mass, j) => {
      if (mass <= TINY) return;
      const x = toX(pile[i].place + shift) + out[i] + (mass * thick) / 2, y = toX(holes[j].place) + into[j] + (mass * thick) / 2;
      out[i] += mass * thick;
      into[j] += mass * thick;
      const picked = chosen && chosen[0] === i && chosen[1] === j;
      draw(earth, "path", { d: `M${x} ${top}C${x} ${(top + bottom) / 2} ${y} ${(top + bottom) / 2} ${y} ${bottom}`, fill: "none",
        stroke: picked ? "var(--fake)" : "var(--soft)", "stroke-opacity": picked ? 0.95 : 0.42,
        "stroke-width": Math.max(mass * thick, 0.6), class: "route" });
    }));
    for (let place = 0; place < places; place++) {
      draw(earth, "text", { x: toX(place), y: 240, "text-anchor": "middle" }, place);
    }
    draw(earth, "text", { x: 8, y: 11 }, "pile (generated)");
    draw(earth, "text", { x: 8, y: 224 }, "holes (real)");
    if (!find(".critic").checked) return;
    const values = critic(moved(shift), data.holes), reach = Math.max(...values.map(Math.abs), 1);
    draw(earth, "path", { d: path(values.map((value, k) => [toX(k), 120 - (value * 34) / reach])), fill: "none",
      stroke: "var(--green)", "stroke-width": 2.5, class: "critic-line" });
    values.forEach((value, k) => draw(earth, "circle", { cx: toX(k), cy: 120 - (value * 34) / reach, r: 3, fill: "var(--green)" }));
  }

  function drawCurves() {
    curves.replaceChildren();
    const shifts = Array.from({ length: most - least + 1 }, (_, k) => least + k);
    const mine = shifts.map((by) => costOf(plan, pile, holes, by)), lowest = shifts.map(best);
    const top = Math.max(...mine, TINY), x = (by) => 14 + ((WIDE - 28) * (by - least)) / Math.max(most - least, 1);
    const line = (values, y, stroke, more = {}) => draw(curves, "path", { d: path(values.map((value, k) =>
      [x(shifts[k]), y(value)])), fill: "none", stroke, "stroke-width": 2, ...more });
    draw(curves, "text", { x: 14, y: 10 }, `average distance, up to ${top.toFixed(1)}`);
    draw(curves, "text", { x: 14, y: 94 }, "Jensen–Shannon divergence, up to log 2");
    line(lowest, (value) => 76 - (60 * value) / top, "var(--green)", { "stroke-width": 6, "stroke-opacity": 0.55 });
    line(mine, (value) => 76 - (60 * value) / top, "var(--fake)");
    line(shifts.map((by) => divergence(moved(by), data.holes)), (value) => 138 - (32 * value) / Math.LN2, "var(--purple)",
      { "stroke-dasharray": "2 3" });
    draw(curves, "path", { d: path([[x(shift), 14], [x(shift), 140]]), stroke: "var(--ink)", "stroke-width": 1 });
  }

  function drawPlan() {
    const held = grid.contains(grid.getRootNode().activeElement);
    grid.replaceChildren();
    grid.style.gridTemplateColumns = `22px repeat(${holes.length}, minmax(0, 34px))`;
    const heavy = Math.max(...plan.flat());
    const head = grid.appendChild(document.createElement("div"));
    head.setAttribute("role", "row");
    head.innerHTML = `<span role="columnheader"></span>` + holes.map(({ place }) => `<span role="columnheader">${place}</span>`).join("");
    plan.forEach((row, i) => {
      const line = grid.appendChild(document.createElement("div"));
      line.setAttribute("role", "row");
      line.innerHTML = `<span role="rowheader">${pile[i].place + shift}</span>`;
      row.forEach((mass, j) => {
        const cell = line.appendChild(document.createElement("button"));
        cell.type = "button";
        cell.className = mass > 0.55 * heavy ? "cell dark" : "cell";
        cell.setAttribute("role", "gridcell");
        cell.setAttribute("aria-selected", Boolean(chosen && chosen[0] === i && chosen[1] === j));
        cell.setAttribute("aria-label", `${mass.toFixed(2)} from place ${pile[i].place + shift} to place ${holes[j].place}, `
          + `distance ${distance(i, j)}`);
        cell.tabIndex = focus[0] === i && focus[1] === j ? 0 : -1;
        cell.style.background = `rgba(var(--mass), ${(mass / heavy).toFixed(3)})`;
        cell.textContent = mass > TINY ? mass.toFixed(2).replace(/^0/, "") : "";
        cell.addEventListener("click", () => choose(i, j));
      });
    });
    if (held) cellAt(...focus).focus();
  }

  const cellAt = (i, j) => grid.querySelectorAll(".cell")[i * holes.length + j];

  function describe() {
    const cost = costOf(plan, pile, holes, shift), lowest = best(shift), apart = divergence(moved(shift), data.holes);
    const flat = Math.LN2 - apart < 1e-6 ? " = log 2" : "";
    find(".cost").innerHTML = `${cost.toFixed(2)} <small>average distance of this plan</small>`;
    const extra = cost - lowest > 1e-6 ? `, ${(cost - lowest).toFixed(2)} less` : "";
    const says = find(".critic").checked ? ` The critic scores the holes ${lift().toFixed(2)} higher than the pile.` : "";
    find(".found").textContent = `${news}Best: W₁ = ${lowest.toFixed(2)}${extra}. Jensen–Shannon: ${apart.toFixed(3)}${flat}.${says}`;
    find(".where").textContent = shift > 0 ? `+${shift}` : `${shift}`.replace("-", "−");
    slider.value = shift;
    slider.setAttribute("aria-valuetext", `shift ${shift}, best average distance ${lowest.toFixed(2)}, Jensen–Shannon `
      + `divergence ${apart.toFixed(3)}`);
  }

  function show() {
    drawEarth();
    drawCurves();
    drawPlan();
    describe();
  }

  function choose(i, j) {
    focus = [i, j];
    news = "";
    if (chosen && chosen[0] === i && chosen[1] === j) chosen = null;
    else if (!(plan[i][j] > TINY)) news = "Nothing goes there: choose an entry that is not empty. ";
    else if (!chosen) chosen = [i, j];
    else if (chosen[0] === i || chosen[1] === j) chosen = [i, j]; // one pile or one hole: nothing to exchange
    else exchange(...chosen, i, j);
    show();
  }

  // As much as both entries have goes the other way; what every pile gives and every hole takes stays the same.
  function exchange(i, j, k, l) {
    const before = costOf(plan, pile, holes, shift), mass = Math.min(plan[i][j], plan[k][l]);
    plan = plan.map((row) => [...row]);
    for (const [row, column, sign] of [[i, j, -1], [k, l, -1], [i, l, 1], [k, j, 1]]) {
      plan[row][column] = Math.max(plan[row][column] + sign * mass, 0);
      if (plan[row][column] < TINY) plan[row][column] = 0;
    }
    chosen = null;
    const gain = costOf(plan, pile, holes, shift) - before;
    news = Math.abs(gain) < 1e-9 ? "Exchanged, at the same cost. "
      : `Exchanged: ${Math.abs(gain).toFixed(2)} ${gain < 0 ? "saved" : "wasted"}. `;
    plans.querySelector("[value=own]").disabled = false;
    plans.value = "own";
  }

  slider.addEventListener("input", () => {
    shift = Number(slider.value);
    news = "";
    show();
  });
  plans.addEventListener("change", () => {
    if (plans.value in PLANS) plan = PLANS[plans.value](pile, holes);
    plans.querySelector("[value=own]").disabled = plans.value !== "own";
    chosen = null;
    news = "";
    show();
  });
  find(".critic").addEventListener("change", () => {
    news = "";
    show();
  });
  grid.addEventListener("keydown", (event) => {
    const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!move) return;
    event.preventDefault();
    const within = (value, count) => Math.min(Math.max(value, 0), count - 1);
    cellAt(...focus).tabIndex = -1;
    focus = [within(focus[0] + move[0], pile.length), within(focus[1] + move[1], holes.length)];
    cellAt(...focus).tabIndex = 0;
    cellAt(...focus).focus();
  });

  show();

  return followPage();
}
