// What the moving figures share, put before each of their modules: colours by day and by night, a card of two columns with
// its controls, and a shadow root that keeps its keys to itself.

const FURNITURE = `
:host { display: block; all: initial; display: block; }
.figure { --card: #fff; --line: #d9dde3; --ink: #22262d; --soft: #5c6470; --accent: #0072B2; --real: #0072B2;
  --fake: #D55E00; --green: #00795a; container-type: inline-size; color: var(--ink); color-scheme: light; margin: 0;
  text-align: left;
  font: 14px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif; }
.figure[data-theme="dark"] { --card: #16191e; --line: #363c45; --ink: #e9ebef; --soft: #a4adb9; --accent: #6cc0f5;
  --real: #6cc0f5; --fake: #ff9d4d; --green: #3fd0a4; color-scheme: dark; }
.card { display: grid; gap: 14px; padding: 14px; background: var(--card); border: 1px solid var(--line);
  border-radius: 10px; max-width: 860px; box-sizing: border-box; margin: 0 auto; }
.stage, .panel { min-width: 0; display: flex; flex-direction: column; gap: 10px; }
.title { font-weight: 650; font-size: 16px; line-height: 1.3; }
.note { color: var(--soft); font-size: 13px; }
output { display: block; }
label { color: var(--soft); cursor: pointer; }
select { font: inherit; color: var(--ink); background: var(--card); border: 1px solid var(--line); border-radius: 7px;
  min-height: 36px; padding: 0 8px; cursor: pointer; max-width: 100%; }
select:hover { border-color: var(--accent); }
input[type=range] { width: 100%; margin: 0; height: 24px; accent-color: var(--accent); cursor: pointer; }
input[type=checkbox] { width: 16px; height: 16px; margin: 0; accent-color: var(--accent); }
:is(button, select, input):focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 16px; color: var(--soft); font-size: 13px; }
.legend span { display: inline-flex; align-items: center; gap: 6px; }
[hidden] { display: none !important; }
@container (min-width: 660px) {
  .card { gap: 22px; padding: 18px; }
}`;

// The book says data-theme, JupyterLab data-jp-theme-light, Colab theme; where nobody says anything, the system does.
function isDark(system) {
  const { documentElement: page, body } = document;
  const named = page.dataset.theme || page.getAttribute("theme") || body?.dataset.theme;
  if (named === "dark" || named === "light") return named === "dark";
  if (body?.dataset.jpThemeLight) return body.dataset.jpThemeLight === "false";
  return system.matches;
}

/**
 * Put a figure into an element's shadow root. Returns `find`, by selector, and `followPage(dress)`,
 * which calls `dress` with "dark" or "light" now and whenever the page changes, and returns a function that takes all away.
 */
function furnish(element, shell, style, title) {
  const root = element.shadowRoot ?? element.attachShadow({ mode: "open" });
  root.innerHTML = `<style>${FURNITURE}${style}</style>${shell}`;
  const find = (selector) => root.querySelector(selector), figure = find(".figure");
  find(".title").textContent = title;
  figure.setAttribute("aria-label", title);
  element.dataset.lmSuppressShortcuts = "true"; // JupyterLab's commands leave keys alone in here
  for (const kind of ["keydown", "keyup", "keypress"]) root.addEventListener(kind, (event) => event.stopPropagation());

  function followPage(dress = () => {}) {
    const system = matchMedia("(prefers-color-scheme: dark)");
    const change = () => dress((figure.dataset.theme = isDark(system) ? "dark" : "light"));
    const themed = new MutationObserver(change);
    for (const place of [document.documentElement, document.body]) {
      if (place) themed.observe(place, { attributes: true, attributeFilter: ["data-theme", "theme", "data-jp-theme-light"] });
    }
    system.addEventListener("change", change);
    change();
    return () => {
      themed.disconnect();
      system.removeEventListener("change", change);
      root.innerHTML = "<slot></slot>"; // the poster again
    };
  }

  return { find, followPage };
}
