// Numbers, times and elements: how everything on the page is written.

const grouped = (digits) => new Intl.NumberFormat("en-US", {minimumFractionDigits: digits, maximumFractionDigits: digits});
const formats = [0, 1, 2, 3, 4, 5, 6, 7, 8].map(grouped);

/** A number with so many digits behind the point, and a dash where there is none. */
export const number = (value, digits = 2) => (value == null ? "–" : formats[digits].format(value).replace("-", "−"));

/** A number with its sign. */
export const signed = (value, digits = 2) => (value > 0 ? "+" : "") + number(value, digits);

/** A price with the digits that its size asks for. */
export const price = (value) => number(value, value == null ? 2 : digitsOf(value));
export const digitsOf = (value) => {
  const size = Math.abs(value);
  return size >= 100 ? 2 : size >= 1 ? 4 : 8;
};

export const share = (value) => (value == null ? "–" : `${number(100 * value, 0)} %`);

/** Seconds as a person says them. */
export const span = (seconds) => {
  if (seconds == null) return "–";
  if (seconds < 1) return `${number(1000 * seconds, 0)} ms`;
  if (seconds < 10) return `${number(seconds, 1)} s`;
  if (seconds < 120) return `${number(seconds, 0)} s`;
  if (seconds < 7200) return `${number(seconds / 60, 0)} min`;
  return seconds < 172800 ? `${number(seconds / 3600, 0)} h` : `${number(seconds / 86400, 0)} days`;
};

/** A time, UNIX ms, in UTC; with its date where that is not today's. */
export const time = (ms, whole = false) => {
  const text = new Date(ms).toISOString();
  const today = text.slice(0, 10) === new Date().toISOString().slice(0, 10);
  return (today && !whole ? "" : `${text.slice(0, 10)} `) + text.slice(11, 19);
};

/** A name of the program as words: high_vol_range is "high vol range". */
export const plain = (name) => (name ?? "–").replaceAll("_", " ");

/** The mark that stands beside the word of a state, so that no state is told by its colour alone. */
export const SHAPES = {active: "▶", "reduce-only": "◐", halted: "■", flattening: "▼", closed: "□"};

/** An element with attributes, and texts or elements in it; nothing is ever read as HTML. */
export function element(name, attributes = {}, ...inside) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value != null && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...inside.map((one) => (one instanceof Node ? one : String(one))));
  return made;
}

/** Set the text of an element only where it changes, so that readers and selections are left alone. */
export function write(where, text) {
  if (where.textContent !== text) where.textContent = text;
}

/** A stable row of cells in a container: one <div> with a name, a value and a line below it. */
export function tiles(container, entries) {
  const there = new Map([...container.children].map((one) => [one.dataset.name, one]));
  for (const {name, value, below = "", kind = ""} of entries) {
    let tile = there.get(name);
    if (tile === undefined) {
      tile = element("div", {class: "tile", "data-name": name}, element("h2", {}, name), element("strong"), element("small"));
      container.append(tile);
    }
    there.delete(name);
    if (tile.className !== `tile ${kind}`.trim()) tile.className = `tile ${kind}`.trim();
    write(tile.children[1], value);
    write(tile.children[2], below);
  }
  for (const gone of there.values()) gone.remove();
}
