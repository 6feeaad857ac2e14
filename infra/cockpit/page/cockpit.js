// The page: it asks for words and states once, follows what is new, and draws what changed.

import {Charts} from "./charts.js";
import {drawHealth, drawNow, drawRows, drawWhy} from "./panels.js";
import {press, signIn} from "./orders.js";
import {Line, Rows, ask, person} from "./store.js";
import {SHAPES, element, signed, span, write} from "./words.js";

const $ = (name) => document.getElementById(name);
const dialogs = {confirm: $("confirm"), sign: $("signing")};
const shown = {book: "", rows: null, charts: null, state: null, at: 0, picked: null, stale: false};
let words = null;
let line = null;
let latest = null;
let loading = false;

const chosenBook = () => decodeURIComponent(location.hash.slice(1));

/** Show a book: its rows are asked for in whole, then what is new comes by itself. */
async function show(book, state = null) {
  shown.charts?.destroy();
  Object.assign(shown, {book, rows: null, charts: null, state, at: performance.now(), picked: null});
  $("charts").replaceChildren();
  line.show(book);
  await load(-1);
}

/** Ask for rows after `since`; all of them where -1. */
async function load(since) {
  if (loading) return;
  loading = true;
  const {book} = shown;
  try {
    const told = await ask(`/api/history?book=${encodeURIComponent(book)}&since=${since}`);
    if (book !== shown.book) return;
    const follows = shown.rows && told.rows.seq.length && told.rows.seq[0] === shown.rows.last + 1;
    if (!shown.rows || since < 0 || !follows) {
      shown.rows = new Rows(book, told.agents);
      shown.charts?.destroy();
      shown.charts = null;
    }
    shown.rows.add(told);
    redraw();
  } finally {
    loading = false;
    if (book !== shown.book) load(-1);
  }
}

function redraw() {
  const {rows} = shown;
  rows.symbol = shown.state?.symbol ?? latest?.books[shown.book]?.symbol ?? "";
  rows.capital = shown.state?.capital ?? latest?.books[shown.book]?.capital ?? null;
  if (!rows.length) return;
  if (shown.charts) {
    shown.charts.rows = rows;
    shown.charts.draw();
  } else {
    shown.charts = new Charts($("charts"), words, rows, pick);
  }
  $("older").hidden = !rows.more;
  details();
}

function details() {
  const {rows} = shown;
  const at = shown.picked == null ? rows.length - 1 : rows.columns.seq.indexOf(shown.picked);
  drawRows($("rows"), rows, words, rows.columns.seq[at], pick);
  drawWhy($("why"), rows, words, at < 0 ? rows.length - 1 : at);
}

/** Explain a row; the newest one again where it is picked, so that the panel follows. */
function pick(index) {
  shown.picked = index === shown.rows.length - 1 ? null : shown.rows.columns.seq[index];
  details();
}

function onState(told) {
  latest = {...told, heard: performance.now()};
  const names = Object.keys(told.books);
  drawBooks(names);
  if (!names.includes(shown.book) && names.length) {
    const book = names.includes(chosenBook()) ? chosenBook() : names[0];
    show(book, told.books[book].rows === undefined ? null : told.books[book]).catch(complain);
  }
  const refused = told.no_control;
  for (const button of $("buttons").children) {
    button.disabled = Boolean(refused) || !shown.state;
    button.title = refused;
  }
  if (shown.state) tick();
  const trouble = [told.trouble, refused].filter(Boolean).join(" ");
  $("trouble").hidden = !trouble;
  write($("trouble"), trouble);
}

function onBook(told) {
  if (told.book !== shown.book) return;
  shown.state = told.state;
  shown.at = performance.now();
  drawHealth($("health"), told.state);
  tick();
  if (!shown.rows) return;
  if (told.since > shown.rows.last) {
    load(shown.rows.last).catch(complain); // some rows came before the socket told of any
  } else if (!told.news) {
    return;
  } else if (JSON.stringify(told.news.agents) !== JSON.stringify(shown.rows.agents)) {
    load(-1).catch(complain);
  } else {
    shown.rows.add(told.news);
    shown.stale = true;
  }
}

function drawBooks(names) {
  const nav = $("books");
  if ([...nav.children].map((one) => one.dataset.book).join("\n") !== names.join("\n")) {
    nav.replaceChildren(...names.map((name) => {
      const button = element("button", {type: "button", "data-book": name}, element("b", {}, name), element("span"));
      button.onclick = () => { location.hash = encodeURIComponent(name); };
      return button;
    }));
  }
  for (const button of nav.children) {
    const told = latest.books[button.dataset.book];
    const troubled = told.troubles?.length || isOld(told, 0);
    button.setAttribute("aria-current", String(button.dataset.book === shown.book));
    button.classList.toggle("alarm", Boolean(troubled));
    write(button.lastChild, `${SHAPES[told.state] ?? "?"} ${told.state ?? "no row"} ${told.position == null ? "" : signed(told.position, 2)}${troubled ? " !" : ""}`);
  }
}

const isOld = (told, more) => told.state !== "closed" && told.age_seconds != null && told.age_seconds + more > told.old_after;

/** What only time changes: the age of data, and whether the server is still there. */
function tick() {
  const silent = line.silent();
  const {state} = shown;
  const more = (performance.now() - shown.at) / 1e3;
  if (state) drawNow($("tiles"), state, state.age_seconds == null ? null : state.age_seconds + more);
  const old = state && isOld(state, more);
  const [kind, text] = silent ? ["alarm", `✕ SERVER GONE ${span(silent / 1e3)}`]
    : !state ? ["wait", "… waiting for rows"]
    : state.state === "closed" ? ["wait", "□ closed"]
    : old ? ["alarm", `! OLD DATA ${span(state.age_seconds + more)}`] : ["live", "● live"];
  if ($("link").className !== kind) $("link").className = kind;
  write($("link"), text);
  document.body.classList.toggle("alarm", kind === "alarm");
  write($("sign"), person.token && person.by ? `Signed in: ${person.by}` : "Sign in");
  if (shown.stale) {
    shown.stale = false;
    redraw();
  }
}

function complain(error) {
  $("trouble").hidden = false;
  write($("trouble"), error.message);
}

async function older() {
  const told = await ask(`/api/history?book=${encodeURIComponent(shown.book)}&before=${shown.rows.first}`);
  shown.rows.add(told, true);
  redraw();
}

/** All that is known at first: asked for, since the socket only tells what comes. */
async function first() {
  const [told, states] = await Promise.all([ask("/api/words"), ask("/api/state")]);
  words = told;
  return states;
}

async function start() {
  let states = null;
  while (states === null) {
    try {
      states = await first();
    } catch (error) {
      if (error.status === 401 || error.status === 429) {
        if (error.status === 429) await new Promise((resolve) => setTimeout(resolve, 5_000));
        await signIn(dialogs.sign);
      } else {
        await new Promise((resolve) => setTimeout(resolve, 1_000));
      }
    }
  }
  line = new Line(onState, onBook);
  onState(states);
  setInterval(tick, 1_000);
}

for (const button of $("buttons").children) {
  button.onclick = () => press(button.dataset.action, shown.state, dialogs, $("answers"));
}
$("sign").onclick = () => signIn(dialogs.sign);
$("older").firstChild.onclick = () => older().catch(complain);
addEventListener("hashchange", () => {
  if (latest?.books[chosenBook()] && chosenBook() !== shown.book) show(chosenBook()).catch(complain);
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  shown.charts?.destroy();
  shown.charts = null;
  if (shown.rows) redraw();
});
start();
