// Charts: the rows of one book over time, drawn by uPlot, with one cursor for all of them.

import {digitsOf, element, number, plain, price, share, signed, write} from "./words.js";

const SYNC = "rows";
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const last = (rows) => rows.length - 1;

/** What is drawn: a title, the series with name, colour and values, and how a value is written. */
function figures(words, {agents, symbol}) {
  const colour = (k) => `--c${k % 9}`;
  const stack = (title, name, labels, height) => ({
    title, stack: true, height, format: share, range: [0, 1],
    series: labels.map((label, k) => ({name: plain(label), colour: colour(k), values: (rows) => rows.columns[name][k]})),
  });
  const column = (name) => (rows) => rows.columns[name];
  const profit = (name) => (rows) => {
    const base = rows.capital ?? rows.columns.equity[0];
    return rows.columns[name].map((value) => (value == null ? null : value - base));
  };
  return [
    {title: symbol ? `Price of ${symbol}` : "Price", height: 218, format: price, marks: true,
      series: [{name: "mid", colour: "--ink", values: column("price")}]},
    stack("Weights of agents", "weights", agents, 218),
    {title: "Profit since the book was opened", height: 148, format: (v) => signed(v, 0),
      series: [
        {name: "ensemble", colour: "--ensemble", width: 2, values: profit("equity")},
        {name: "equal weights", colour: "--equal", dash: [6, 3], values: profit("equal")},
        {name: "buy and hold", colour: "--hold", dash: [2, 3], values: profit("hold")},
      ]},
    stack("Regime", "regime", words.regimes, 148),
    {title: "Position and target, units of capital", height: 118, format: (v) => signed(v, 3), step: true,
      series: [
        {name: "target", colour: "--equal", dash: [4, 3], values: column("target")},
        {name: "position", colour: "--ensemble", width: 2, values: column("position")},
      ]},
    stack("Weights of members", "members", words.members, 118),
  ];
}

/** All charts of one book in a container. `onPick(index)` is called with the row that a person clicks. */
export class Charts {
  constructor(container, words, rows, onPick) {
    this.container = container;
    this.rows = rows;
    this.onPick = onPick;
    this.shown = null; // index of the row under the cursor
    container.replaceChildren();
    this.charts = figures(words, rows).map((figure) => this.build(figure));
    this.sizes = new ResizeObserver(() => this.charts.forEach(({plot, place}) => plot.setSize(sizeOf(place))));
    this.sizes.observe(container);
    this.draw();
  }

  destroy() {
    this.sizes.disconnect();
    this.charts.forEach(({plot}) => plot.destroy());
  }

  build(figure) {
    const place = element("div", {class: "plot", role: "img"});
    place.dataset.height = figure.height;
    const key = element("ul", {class: "key"});
    const values = figure.series.map((one) => {
      const swatch = element("i", {class: figure.stack ? "area" : one.dash ? "dashed" : "line"});
      swatch.style.color = `var(${one.colour})`;
      const value = element("b");
      key.append(element("li", {}, swatch, element("span", {}, one.name), value));
      return value;
    });
    for (const [shape, name, colour] of figure.marks ? [["▲", "bought", "--buy"], ["▽", "sold", "--sell"]] : []) {
      const mark = element("b", {class: "mark"}, shape);
      mark.style.color = `var(${colour})`;
      key.append(element("li", {}, mark, element("span", {}, name)));
    }
    const kind = figure.stack ? "stack" : "lines";
    this.container.append(element("figure", {class: kind}, element("figcaption", {}, figure.title), key, place));
    const plot = new uPlot(this.options(figure, place), [[], ...figure.series.map(() => [])], place);
    plot.over.addEventListener("click", () => plot.cursor.idx != null && this.onPick(plot.cursor.idx));
    return {figure, plot, place, values};
  }

  options(figure, place) {
    const axis = {stroke: css("--soft"), grid: {stroke: css("--rule"), width: 1}, ticks: {show: false}, font: "11px system-ui"};
    const series = figure.series.map((one) => ({
      stroke: figure.stack ? undefined : css(one.colour), width: figure.stack ? 0 : one.width ?? 1.25, dash: one.dash,
      fill: figure.stack ? css(one.colour) : undefined, points: {show: false},
      paths: figure.step ? uPlot.paths.stepped({align: 1}) : undefined,
    }));
    return {
      ...sizeOf(place), legend: {show: false}, padding: [6, 8, 0, 0],
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1e3), "Etc/UTC"),
      cursor: {sync: {key: SYNC, setSeries: false}, drag: {x: true, y: false}, points: {show: !figure.stack, size: 6}, y: false},
      scales: {y: figure.range ? {range: figure.range} : {}},
      axes: [
        {...axis, space: 70, size: 24, values: (u, ticks) => ticks.map(clock)},
        {...axis, size: 62, space: 24, values: (u, ticks) => ticks.map((v) => tick(figure, v, ticks))},
      ],
      series: [{}, ...(figure.stack ? series.reverse() : series)],
      hooks: {
        setCursor: [(u) => this.point(u.cursor.idx ?? null)],
        draw: figure.marks ? [(u) => this.drawMarks(u)] : [],
      },
    };
  }

  /** Draw all rows anew. */
  draw() {
    const {rows} = this;
    if (!rows.length) return;
    const x = rows.columns.ts.map((ms) => ms / 1e3);
    for (const {figure, plot} of this.charts) {
      const values = figure.series.map((one) => one.values(rows));
      const zoomed = plot.data[0].length && (plot.scales.x.min > plot.data[0][0] || plot.scales.x.max < plot.data[0].at(-1));
      plot.setData([x, ...(figure.stack ? stacked(values) : values)], !zoomed);
      if (zoomed) plot.redraw();
    }
    this.tell();
  }

  point(index) {
    if (index === this.shown) return;
    this.shown = index;
    this.tell();
  }

  /** Write the values of the row under the cursor, else of the last one, beside the names. */
  tell() {
    const at = this.shown ?? last(this.rows);
    for (const {figure, place, values} of this.charts) {
      const texts = figure.series.map((one) => figure.format(one.values(this.rows)[at]));
      texts.forEach((text, k) => write(values[k], text));
      if (this.shown === null) {
        place.setAttribute("aria-label", `${figure.title}: ${figure.series.map((one, k) => `${one.name} ${texts[k]}`).join(", ")}`);
      }
    }
  }

  /** Fills as triangles: up and filled where it bought, down and hollow where it sold. */
  drawMarks(u) {
    const {ctx, bbox} = u;
    const marks = [...this.rows.marks.values()].filter((one) => one.kind === 1 && one.qty && one.ts / 1e3 >= u.scales.x.min);
    const size = (marks.length > 120 ? 2.5 : 4.5) * devicePixelRatio;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    ctx.lineWidth = devicePixelRatio;
    for (const mark of marks) {
      const x = u.valToPos(mark.ts / 1e3, "x", true);
      const y = u.valToPos(mark.price, "y", true);
      const up = mark.qty > 0 ? 1 : -1;
      ctx.beginPath();
      ctx.moveTo(x, y - up * size);
      ctx.lineTo(x - size, y + up * size);
      ctx.lineTo(x + size, y + up * size);
      ctx.closePath();
      ctx.strokeStyle = ctx.fillStyle = css(up > 0 ? "--buy" : "--sell");
      if (up > 0) ctx.fill(); else ctx.fillStyle = css("--paper"), ctx.fill(), ctx.stroke();
    }
    ctx.restore();
  }
}

const sizeOf = (place) => ({width: Math.max(place.clientWidth, 120), height: Number(place.dataset.height)});

/** A time on the axis, UNIX s: the hour, and at midnight the day. */
function clock(seconds) {
  const text = new Date(seconds * 1e3).toISOString();
  return seconds % 86400 ? text.slice(11, seconds % 60 ? 19 : 16) : text.slice(5, 10);
}

function tick(figure, value, ticks) {
  if (figure.format !== price) return figure.format(value);
  return number(value, ticks[1] - ticks[0] >= 1 ? 0 : digitsOf(value));
}

/** Sums from the first series on, the largest first: each is painted over the one before it. */
function stacked(values) {
  const sums = [];
  values.forEach((column, k) => sums.push(column.map((value, row) => (value ?? 0) + (k ? sums[k - 1][row] : 0))));
  return sums.reverse();
}
