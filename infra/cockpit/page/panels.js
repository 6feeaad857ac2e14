// Panels: the state of the book, its last rows, why one of them is as it is, and how the pipeline does.

import {SHAPES, element, number, plain, price, share, signed, span, tiles, time, write} from "./words.js";

const SHOWN_ROWS = 14;
const side = (value) => (value > 0 ? "long" : value < 0 ? "short" : "flat");
const sign = (value) => (value > 0 ? "good" : value < 0 ? "bad" : "");

/** The tiles of what is looked at first. `age`: seconds since the last row, counted on here. */
export function drawNow(container, state, age) {
  const old = age != null && age > state.old_after;
  const order = state.last_order;
  tiles(container, [
    {name: "State", value: `${SHAPES[state.state] ?? "?"} ${state.state ?? "no row yet"}`, kind: `state ${state.state ?? ""}`,
      below: state.warming_up ? "warming up: no orders yet" : state.verdicts?.length ? `verdicts: ${state.verdicts.map(plain).join(", ")}` : "no gate acts"},
    {name: "Position", value: state.position == null ? "–" : `${signed(state.position, 3)} ${side(state.position)}`,
      below: state.qty == null ? "units of capital" : `${signed(state.qty, 5)} at ${price(state.price)}`},
    {name: "Open result", value: signed(state.open_result), kind: sign(state.open_result),
      below: state.entry ? `entry ${state.entry_known ? "" : "unknown, since "}${price(state.entry)}` : "nothing held"},
    {name: "Today", value: signed(state.today), kind: sign(state.today),
      below: state.today == null || state.today_whole ? "since 00:00 UTC" : "since the first row known"},
    {name: "Equity", value: number(state.equity),
      below: state.capital == null ? "" : `${signed(state.equity - state.capital)} since opened`},
    {name: "Age of data", value: span(age), kind: old ? "alarm" : "",
      below: old ? `OLD: expected within ${span(state.old_after)}` : `a row each ${span(state.spacing)}`},
    {name: "Last order", value: order ? `${order.qty > 0 ? "buy" : "sell"} ${number(Math.abs(order.qty), 5)}` : "none",
      below: order ? `${became(order)}, ${time(order.ts)}` : ""},
  ]);
}

function became(order) {
  if (!order.answers) return `${order.reason}, no fill yet`;
  if (!order.filled) return "closed, nothing filled";
  const whole = Math.abs(order.filled - order.qty) < 1e-9 * Math.abs(order.qty);
  return `${whole ? "filled" : `filled ${number(Math.abs(order.filled), 5)}`} at ${price(order.fill_price)}`;
}

/** How the pipeline does: delays, lag, gaps, dead letters. */
export function drawHealth(section, state) {
  const entries = [
    ["decided after", state.latency ? `${span(state.latency.p50)}, 99 % within ${span(state.latency.p99)}` : "history"],
    ["rows behind", state.lag ?? 0],
    ["gaps in a day of rows", state.gaps ?? 0],
    ["bad rows", state.bad_rows ?? 0],
    ["dead letters", state.dead_letters],
    ["learner version", `${state.learner ?? 0}${state.learner_outcome ? `, the last one ${state.learner_outcome}` : ""}`],
    ["last control obeyed", state.control || "none"],
    ["regime", plain(state.regime)],
    ["rows decided", number(state.rows, 0)],
  ];
  const list = section.querySelector("dl");
  if (list.children.length !== 2 * entries.length) {
    list.replaceChildren(...entries.flatMap(([name]) => [element("dt", {}, name), element("dd")]));
  }
  entries.forEach(([, value], k) => write(list.children[2 * k + 1], String(value)));
  const troubles = [...state.troubles];
  if (state.last_dead_letter) troubles.push(`last dead letter: ${state.last_dead_letter}`);
  const lines = section.querySelector("ul");
  if ([...lines.children].map((one) => one.textContent).join("\n") !== troubles.join("\n")) {
    lines.replaceChildren(...troubles.map((text) => element("li", {}, text)));
  }
}

const gatesOf = (bits, words) => words.gates.filter((_, k) => Math.floor(bits / 2 ** k) % 2);

/** The newest rows; `onPick(index)` with the one whose time is pressed. */
export function drawRows(table, rows, words, picked, onPick) {
  const heads = ["time, UTC", "price", "wanted", "target", "position", "verdicts"];
  const {columns} = rows;
  const from = Math.max(0, rows.length - SHOWN_ROWS);
  const lines = [];
  for (let at = rows.length - 1; at >= from; at--) {
    const chosen = columns.seq[at] === picked;
    const button = element("button", {type: "button", "aria-pressed": String(chosen), "data-seq": columns.seq[at]}, time(columns.ts[at]));
    button.onclick = () => onPick(at);
    lines.push(element("tr", {class: chosen ? "picked" : null},
      element("td", {}, button),
      ...[price(columns.price[at]), ...["wanted", "target", "position"].map((name) => signed(columns[name][at], 3))]
        .map((text) => element("td", {class: "n"}, text)),
      element("td", {}, gatesOf(columns.verdicts[at], words).map(plain).join(", ") || "–")));
  }
  const focused = table.contains(document.activeElement) ? document.activeElement.dataset.seq : null;
  table.replaceChildren(
    element("thead", {}, element("tr", {}, ...heads.map((head, k) => element("th", {scope: "col", class: k && k < 5 ? "n" : null}, head)))),
    element("tbody", {}, ...lines));
  if (focused) table.querySelector(`[data-seq="${focused}"]`)?.focus();
}

/** Why a row came to its target: what every agent wanted, times its weight, and what the gates did to the sum. */
export function drawWhy(container, rows, words, at) {
  const {columns, agents} = rows;
  const value = (name) => columns[name][at];
  const wants = agents.map((name, k) => ({name, k, weight: columns.weights[k][at], target: columns.targets[k][at]}));
  wants.sort((a, b) => b.weight - a.weight);
  const known = wants.every((one) => one.target != null);
  const sum = wants.reduce((total, one) => total + one.weight * (one.target ?? 0), 0);
  const cell = (text) => element("td", {class: "n"}, text);
  const body = wants.map(({name, k, weight, target}) => {
    const swatch = element("i", {class: "area"});
    swatch.style.color = `var(--c${k % 9})`;
    return element("tr", {}, element("th", {scope: "row"}, swatch, plain(name)), cell(share(weight)),
      cell(target == null ? "–" : signed(target, 3)), cell(target == null ? "–" : signed(weight * target, 3)));
  });
  const acted = words.gates.map((gate, k) => ({gate, text: words.gate_texts[k], acts: Math.floor(value("verdicts") / 2 ** k) % 2}))
    .filter((one) => one.acts);
  const trusted = words.members.map((name, k) => [columns.members[k][at], name]).sort((a, b) => b[0] - a[0]).slice(0, 3);
  const regimes = words.regimes.map((name, k) => [columns.regime[k][at], name]).filter(([p]) => p != null)
    .sort((a, b) => b[0] - a[0]).slice(0, 2);
  const named = (list) => list.map(([p, name]) => `${plain(name)} ${share(p)}`).join(", ") || "–";
  container.replaceChildren(
    element("p", {}, `Row ${number(value("seq"), 0)} at ${time(value("ts"), true)} UTC: price ${price(value("price"))}.`),
    element("table", {},
      element("thead", {}, element("tr", {}, ...["agent", "weight", "wants", "adds"].map((head, k) => element("th", {scope: "col", class: k ? "n" : null}, head)))),
      element("tbody", {}, ...body)),
    element("p", {}, `${known ? `Sum ${signed(sum, 3)}; f` : "F"}ollowed ${signed(value("wanted"), 3)}, since small moves are not traded; `
      + `after the gates ${signed(value("target"), 3)}; held ${signed(value("position"), 3)}.`),
    element("ul", {}, ...(acted.length ? acted.map(({gate, text}) => element("li", {}, element("b", {}, plain(gate)), ` ${text}`))
      : [element("li", {}, "No gate acted.")])),
    element("p", {}, `Weighed mostly by ${named(trusted)}. Regime: ${named(regimes)}.`));
}
