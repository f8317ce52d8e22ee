// Charts: Vega draws them; their legends are buttons, and a crosshair tells all series at an x.

const charts = new Map(); // of each element: the view of Vega there, and how it was made
let drawn = Promise.resolve();

// Vega is packed in the page, whose policy names the hash of what is unpacked here.
async function unpackVega() {
  const packed = new Blob([bytes(document.getElementById("vega").textContent)]);
  const script = document.createElement("script");
  script.textContent = await new Response(packed.stream().pipeThrough(new DecompressionStream("deflate"))).text();
  document.head.append(script);
  await pause();
}

// What a chart takes from the page. Its colours are variables of the style, so that a page that
// turns dark or goes to the printer needs no new charts; a ramp is interpolated, and has numbers
// for a dark or light paper.
function theme(columns, paper) {
  const { fontFamily: font } = getComputedStyle(document.body), ramp = payload.ramps[paper];
  const style = Object.fromEntries(["guide-label", "guide-title", "group-title"].map((name) => [name, { font }]));
  return { text: { font }, style, range: { ramp, heatmap: ramp }, legend: { columns } };
}

// As many columns as the longest name of a legend leaves room for.
function columnsOf(element, names = [""]) {
  const longest = Math.max(...names.map((name) => name.length));
  return Math.max(1, Math.floor(element.clientWidth / (8 * longest + 44)));
}

// The chart in the language of the moment, with its rows.
function specOf({ spec, words }) {
  const made = structuredClone(spec);
  for (const [path, value] of words[language()])
    path.slice(0, -1).reduce((part, key) => part[key], made)[path.at(-1)] = value;
  for (const each of made.data) if (each.name in payload.data) each.values = structuredClone(payload.data[each.name]);
  return made;
}

async function drawChart(element, paper) {
  const spec = specOf(payload.charts[element.dataset.chart]);
  const { names, note, ramp } = spec.usermeta ?? {};
  const caption = element.parentElement.querySelector("figcaption");
  caption.textContent = note ? `${spec.description} · ${note}` : spec.description;
  const columns = columnsOf(element, names), before = charts.get(element);
  const store = spec.data.find(({ name }) => /^picked_.*_store$/.test(name))?.name;
  const parsed = vega.parse(spec, theme(columns, paper), { ast: true });
  await pause();
  const view = new vega.View(parsed, {
    expr: vega.expressionInterpreter, // no code from strings: the page's policy forbids it
    renderer: "svg",
    tooltip: (_, event, item, value) => pointed(element, event, item, value),
  });
  await pause();
  if (!element.isConnected) return view.finalize();
  const picked = store && before ? pickedIn(before, store, names) : [];
  const own = () => [...element.parentElement.querySelectorAll(STOPS)];
  const at = own().indexOf(document.activeElement);
  if (element.contains(lit[0])) leave();
  before?.view.finalize(); // else its listeners stay
  element.style.minHeight = `${element.offsetHeight}px`; // what is below stays where it is
  const byEpoch = spec.signals.some(({ name }) => name === "shownEpoch");
  if (byEpoch) view.signal("shownEpoch", ruleAt());
  if (picked.length) view.insert(store, picked);
  view.initialize(element);
  if (!before) await pause(); // one that is seen stays until the next
  await view.runAsync();
  element.style.minHeight = "";
  const made = { view, names, columns, ramp, byEpoch, hairs: hairsOf(element) };
  charts.set(element, made);
  element.setAttribute("aria-label", [caption.textContent, ...lastOf(made)].join(". "));
  if (store) pressable(element, view, store);
  if (!before) furnishChart(element);
  const stops = stopsOf(element);
  if (at > 0) own()[at]?.focus({ preventScroll: true });
  if (stops.every(({ tabIndex }) => tabIndex < 0)) element.tabIndex = 0; // it was a name that is gone
}

// Let go of charts that are in the page no more, else their listeners stay.
function forgetCharts() {
  for (const [element, { view }] of charts) {
    if (element.isConnected) continue;
    view.finalize();
    charts.delete(element);
  }
}

// Draw charts anew, one after the other, those in sight first; between them the page answers.
function drawCharts(which = () => true, paper = isDark() ? "dark" : "light") {
  const draw = async () => {
    const found = [...document.querySelectorAll("[data-chart]")].filter(which);
    const away = new Map(found.map((each) => [each, distance(each)]));
    for (const element of found.sort((a, b) => away.get(a) - away.get(b))) {
      if (element.isConnected) await drawChart(element, paper);
      await pause();
    }
  };
  return (drawn = drawn.then(draw));
}

// How far an element is from what is seen, in pixels.
function distance(element) {
  const { top, bottom } = element.getBoundingClientRect();
  return Math.max(0, top - root.clientHeight, -bottom);
}

// Let the page answer; one that is not seen has nobody to answer, and its timers are slow.
const pause = () => (document.hidden ? null : new Promise((done) => setTimeout(done)));

// One stop for Tab in charts that stand together: themselves, the names of their legends, and what is
// below.
const STOPS = ".canvas, .canvas [role=button], details:not([hidden]) > summary";
const groupOf = (element) => element.closest(".two") ?? element.parentElement;
const stopsOf = (element) => [...groupOf(element).querySelectorAll(STOPS)];
function furnishChart(element) {
  oneStop(groupOf(element), STOPS, { ArrowUp: -1, ArrowDown: 1 });
  element.addEventListener("pointermove", (event) => tellNearest(element, event));
  element.addEventListener("pointerleave", ({ pointerType }) => pointerType === "touch" || leave());
  element.addEventListener("keydown", (event) => tellNext(element, event));
  element.addEventListener("blur", leave);
}

// ---- legends ----

// What was pressed in a chart's legend, for the one that is drawn in its place, perhaps in another language.
const pickedIn = ({ view, names: old }, store, names) =>
  view.data(store).map(({ unit, fields, values }) => {
    const [name] = values;
    return { unit, fields, values: [names.includes(name) ? name : names[old.indexOf(name)]] };
  });

// The names of a legend as buttons; series whose names are pressed are left alone. `store` has those.
function pressable(element, view, store) {
  const texts = [...element.querySelectorAll(".role-legend-label text")];
  const told = (_, picked) => {
    const names = picked.flatMap(({ values }) => values);
    for (const text of texts) text.setAttribute("aria-pressed", names.includes(text.__data__.datum.value));
  };
  for (const text of texts) {
    for (let at = text; at !== element; at = at.parentNode) at.removeAttribute("aria-hidden");
    text.closest(".role-legend").setAttribute("role", "group"); // a symbol would hide them
    text.setAttribute("role", "button");
    text.tabIndex = -1;
    text.addEventListener("keydown", (event) => {
      if (event.repeat || (event.key !== "Enter" && event.key !== " ")) return;
      event.preventDefault();
      const { left: clientX, top: clientY } = text.getBoundingClientRect();
      text.dispatchEvent(new MouseEvent("click", { bubbles: true, clientX, clientY }));
    });
  }
  told(store, view.data(store));
  view.addDataListener(store, told);
}

// ---- crosshair ----

const lit = []; // the rules that are seen

// The rules of a chart from left to right. Vega keeps beside each where it is, and its datum.
const ofX = (line) => line.__data__.x, datumOf = (line) => line.__data__.datum;
const hairsOf = (element) =>
  [...element.querySelectorAll(".crosshair_marks > line")].sort((a, b) => ofX(a) - ofX(b));

// The one that is nearest to a place.
const closest = (hairs, place, of) =>
  hairs.reduce((best, each) => (Math.abs(of(each) - place) < Math.abs(of(best) - place) ? each : best), hairs[0]);

// What a chart says at one of its rules: what every series has there, or had last.
function toldAt({ hairs, names }, hair) {
  const { head, rows } = datumOf(hair), before = hairs.slice(0, hairs.indexOf(hair)).reverse();
  const here = (name, each) => datumOf(each).rows.find((row) => row.name === name);
  const last = (name) => {
    const each = before.find((one) => here(name, one));
    return each && { name, shown: `${here(name, each).shown} (${datumOf(each).head})` };
  };
  const told = (names ?? rows.map(({ name }) => name)).map((name) => here(name, hair) ?? last(name));
  return { head, rows: told.filter(Boolean) };
}

// The same at the last of them, in a line: what a screen reader says of a chart.
function* lastOf(made) {
  if (!made.hairs.length) return;
  const { head, rows } = toldAt(made, made.hairs.at(-1));
  yield `${head}: ${rows.map(({ name, shown }) => `${name} ${shown}`).join(", ")}`;
}

function leave() {
  for (const line of lit.splice(0)) line.style.opacity = "";
  tip.hidden = true;
}

// Tell what a chart is at one of its rules; other charts over epochs show which of theirs is nearest.
function tellAt(element, hair, event) {
  leave();
  telling = element;
  const { byEpoch } = charts.get(element);
  const others = [...charts.values()].filter((each) => byEpoch && each.byEpoch && each.hairs.length);
  const { at } = datumOf(hair);
  lit.push(hair, ...others.map(({ hairs }) => closest(hairs, at, (line) => datumOf(line).at)));
  for (const line of lit) line.style.opacity = 0.6;
  tooltip(event, toldAt(charts.get(element), hair));
}

// What is pointed at has a tooltip of its own, which a crosshair leaves to signs. Vega asks to hide it
// also when a chart is drawn anew; what another one tells stays.
let telling; // the chart whose tooltip is seen
const isSign = (item) => item?.mark.marktype === "text";
function pointed(element, event, item, value) {
  if ((charts.get(element)?.hairs.length && !isSign(item)) || (!event && telling !== element)) return;
  telling = element;
  tooltip(event, value ?? lineAt(event));
}

// Between the points of a line Vega finds no tooltip.
const lineAt = (event) => (event?.type === "pointermove" ? event.target.__data__?.tooltip : null);

function tellNearest(element, event) {
  const { hairs, view } = charts.get(element) ?? {};
  if (!hairs?.length || (isSign(event.target.__data__) && event.target.__data__.tooltip)) return;
  const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(hairs[0].parentNode.getScreenCTM().inverse());
  const inside = at.x > -20 && at.x < view.width() + 20 && at.y > 0 && at.y < view.height();
  if (inside) tellAt(element, closest(hairs, at.x, ofX), event);
  else leave();
}

// Left and right to the next rule, Shift for ten, Home and End to the first and the last.
function tellNext(element, event) {
  const hairs = charts.get(element)?.hairs ?? [];
  if (event.target !== element || !hairs.length) return;
  if (event.key === "Escape") return leave();
  const now = hairs.indexOf(lit[0]), size = event.shiftKey ? 10 : 1;
  const next = { ArrowLeft: now < 0 ? Infinity : now - size, ArrowRight: now < 0 ? 0 : now + size, Home: 0, End: Infinity }[event.key];
  if (next === undefined) return;
  event.preventDefault();
  const hair = hairs[clamp(next, hairs.length)];
  element.scrollIntoView({ behavior: "instant", block: "nearest" }); // the page may still glide there
  const { right: clientX, top: clientY } = hair.getBoundingClientRect();
  tellAt(element, hair, { clientX, clientY });
}

// ---- tooltips ----

// What a chart says of the mark that is pointed at. A finger is lifted at once: what it has tapped
// stays until the next tap.
const tip = add(document.body, "div", { id: "tooltip", hidden: true });
tip.setAttribute("role", "status");
function tooltip(event, value) {
  const nothing = value === null || value === undefined || value === "";
  if (nothing && event?.pointerType === "touch") return;
  tip.hidden = nothing;
  if (nothing) return;
  const body = add(document.createElement("table"), "tbody", {});
  const { head, rows } = value; // of all series at an x, or what a mark has
  const said = rows ? [["", head], ...rows.map(({ name, shown }) => [name, shown])] : Object.entries(value);
  for (const [name, shown] of said) {
    const row = add(body, "tr", {});
    if (name) add(row, "th", { scope: "row", textContent: name });
    add(row, "td", { textContent: shown, colSpan: name ? 1 : 2 });
  }
  tip.replaceChildren(body.parentElement);
  const [width, height] = [root.clientWidth, root.clientHeight], gap = 12;
  const left = event.clientX + gap + tip.offsetWidth > width ? event.clientX - gap - tip.offsetWidth : event.clientX + gap;
  const top = event.clientY + gap + tip.offsetHeight > height ? event.clientY - gap - tip.offsetHeight : event.clientY + gap;
  tip.style.left = `${scrollX + Math.max(0, Math.min(left, width - tip.offsetWidth))}px`;
  tip.style.top = `${scrollY + Math.max(0, top)}px`;
}
// It scrolls with the page; not with a box within.
addEventListener("scroll", ({ target }) => target === document || leave(), true);
addEventListener("pointerdown", (event) => {
  leave();
  // A tap does not move, and Vega waits for that.
  if (event.pointerType === "touch" && event.target.closest?.("[data-chart]"))
    event.target.dispatchEvent(new PointerEvent("pointermove", event));
}, true);
