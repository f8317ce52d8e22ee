// Language, theme, tables, pictures; and the views of the network.

const payload = JSON.parse(document.getElementById("payload").textContent);
const root = document.documentElement;

// A text in a language, its {names} filled in; a value that depends on the language is a function.
const fill = (key, values, lang) =>
  payload.texts[lang][key].replace(/\{(\w+)\}/g, (_, name) => inLanguage(values[name], lang));
const inLanguage = (value, lang) => (typeof value === "function" ? value(lang) : value);
const language = () => root.lang;
const say = (key, values = {}) => fill(key, values, language());
const className = (k) => (lang) => payload.class_names[lang][k];

// An element for each language, of which the style shows one.
const inEach = (text) =>
  Object.keys(payload.texts).map((lang) =>
    Object.assign(document.createElement("span"), { lang, textContent: text(lang) }),
  );
const spans = (key, values = {}) => inEach((lang) => fill(key, values, lang));

function add(parent, tag, properties) {
  const element = Object.assign(document.createElement(tag), properties);
  parent.append(element);
  return element;
}

// The text of an element that holds no others, in the language of the moment.
function worded(element, key, values = {}) {
  labels.set(element, () => (element.textContent = say(key, values)));
  labels.get(element)();
}

// A name for who cannot see an element, and for who points at it, in the language of the moment.
function label(element, key, values = {}) {
  const name = () => {
    element.setAttribute("aria-label", say(key, values));
    element.title = say(key, values);
  };
  labels.set(element, name);
  name();
}

const labels = new Map(); // what to do to each element when the language changes

// ---- language and theme ----

function setLanguage(lang) {
  root.lang = lang;
  document.title = payload.titles[lang];
  const button = document.getElementById("language");
  button.textContent = lang === "en" ? "中文" : "English";
  button.lang = "mul";
  for (const [element, name] of labels) {
    if (element.isConnected) name();
    else labels.delete(element);
  }
  for (const box of document.querySelectorAll("[data-rows]")) fillTable(box, true);
  views.forEach((view) => view.draw());
  drawCharts();
}

// What was chosen, where the browser keeps such things for files.
function remember(name, value) {
  try {
    localStorage.setItem(`lenet-${name}`, value);
  } catch {
    // then it is chosen anew the next time
  }
}

function remembered(name) {
  try {
    return localStorage.getItem(`lenet-${name}`);
  } catch {
    return null;
  }
}

function isDark() {
  return root.dataset.theme
    ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
}

// What a variable of the style is at the moment, in a form that a canvas takes.
const probe = add(root, "i", { hidden: true });
function colour(name) {
  probe.style.color = `var(${name})`;
  return getComputedStyle(probe).color;
}

function setTheme(dark) {
  root.dataset.theme = dark ? "dark" : "light";
  repaint();
}

// Charts and text follow the style by themselves; ramps and canvases do not.
function repaint(paper = isDark() ? "dark" : "light") {
  drawCharts((element) => charts.get(element)?.ramp, paper);
  views.forEach((view) => view.draw());
}

// ---- tables ----

// The rows of a chart, once they are asked for.
function fillTable(box, anew) {
  const details = box.closest("details");
  details.hidden = !payload.data[box.dataset.rows]?.length;
  if (!details.open || (box.firstChild && !anew)) return;
  box.replaceChildren(table(payload.data[box.dataset.rows]));
}
addEventListener("toggle", (event) => {
  const box = event.target.querySelector?.("[data-rows]");
  if (box) fillTable(box, false);
}, true);

function table(rows) {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const made = document.createElement("table");
  const head = add(add(made, "thead", {}), "tr", {});
  names.forEach((name) => add(head, "th", { textContent: word(name), scope: "col" }));
  const body = add(made, "tbody", {});
  for (const row of rows.slice(0, 2000)) {
    const line = add(body, "tr", {});
    names.forEach((name) => add(line, "td", { textContent: name === "series" ? word(row[name]) : shown(row[name]) }));
  }
  sortable(made);
  return made;
}

// The name of a column or a series of rows, as a chart has it.
const word = (name) => payload.words[language()][name] ?? name;

function shown(value) {
  if (value === null || value === undefined) return "";
  return typeof value === "number" && !Number.isInteger(value) ? String(Number(value.toPrecision(5))) : String(value);
}

// Heads become buttons that sort by their column: numbers as numbers, what is empty last.
function sortable(made) {
  const heads = [...made.tHead.rows[0].cells];
  const valued = (row, column) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
  heads.forEach((head, column) => {
    const rows = [...made.tBodies[0].rows];
    if (isNumeric(rows.map((row) => valued(row, column))))
      for (const row of [made.tHead.rows[0], ...rows]) row.cells[column].classList.add("numeric");
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((each) => each.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = (row) => valued(row, column);
      const rows = [...made.tBodies[0].rows];
      const order = comparison(rows.map(key));
      rows.sort((a, b) => order(key(a), key(b), down));
      made.tBodies[0].append(...rows);
    });
  });
}

// The order of the values of a column: by the number that each begins with, such as "-0.5 [-1, 0]"
// and "> 10", or as text if one begins with none; what is empty comes last.
const number = (value) => parseFloat(value.replace("\u2212", "-").replace(/^[<>\u2264\u2265\s]+/, ""));
const isNumeric = (values) => values.every((value) => value === "" || !Number.isNaN(number(value)));
function comparison(values) {
  const numeric = isNumeric(values);
  return (a, b, down) => {
    if (a === "" || b === "") return (a === "") - (b === "");
    const order = numeric ? number(a) - number(b) : a.localeCompare(b);
    return down ? -order : order;
  };
}

// ---- the confusion matrix ----

// One stop for Tab in a matrix of buttons; arrows move inside it.
function roving(matrix) {
  const rows = [...matrix.tBodies[0].rows].map((row) => [...row.querySelectorAll("button")]);
  const stop = (cell) => rows.flat().forEach((each) => (each.tabIndex = each === cell ? 0 : -1));
  stop(rows.flat().find((cell) => !cell.disabled));
  matrix.addEventListener("focusin", (event) => stop(event.target));
  matrix.addEventListener("keydown", (event) => {
    const step = STEPS[event.key];
    if (!step) return;
    event.preventDefault();
    let row = rows.findIndex((cells) => cells.includes(event.target));
    let column = rows[row].indexOf(event.target);
    do [row, column] = [row + step[0], column + step[1]];
    while (rows[row]?.[column]?.disabled);
    rows[row]?.[column]?.focus();
  });
}

// ---- the network ----

const views = [];
const layers = []; // of the network, as far as it is trained

// Views are built one by one; between them the page answers.
async function network() {
  const found = payload.network;
  if (!found) return;
  layers.splice(0, Infinity, ...unpack(found));
  const scaled = (pixels) => Float64Array.from(pixels, (x) => x / 255);
  const without = (pixels, off) => Array.from(forward(layers, found.image_shape, scaled(pixels), off).at(-1).values);
  const logits = (pixels) => without(pixels, []);
  const explain = {
    without,
    gradient: (pixels, k) => Array.from(gradient(layers, found.image_shape, scaled(pixels), k)),
    occlusion: async (pixels, k) => Array.from(await occlusion(layers, found.image_shape, scaled(pixels), k)),
  };
  Object.assign(window.lenet, { logits, ...explain, network: found, views, bytes, picturesOf: (file) => picturesOf(file, ...found.image_shape) });
  views.forEach((view) => view.compute());
  for (const element of document.querySelectorAll("[data-view]:empty")) {
    views.push(buildView(element, found, layers, element.dataset.view === "own"));
    await pause();
  }
  together(views.filter(({ element }) => element.matches("#layers .view")));
  const first = document.querySelector("#first:empty");
  if (first) firstScreen(first, views.find(({ own }) => own), found);
}

// Whether the network of the page, as it came, gives the logits that JAX gives.
async function compare() {
  const found = payload.network;
  if (!found?.samples.length) return;
  const trained = unpack(found);
  let [most, largest] = [0, 1];
  for (const sample of found.samples) {
    await pause();
    const image = Float64Array.from(bytes(sample.pixels), (x) => x / 255);
    forward(trained, found.image_shape, image, []).at(-1).values.forEach((x, k) => {
      most = Math.max(most, Math.abs(x - sample.logits[k]));
      largest = Math.max(largest, Math.abs(sample.logits[k]));
    });
  }
  if (payload.network !== found) return; // the page has grown
  const agrees = most <= 1e-4 * largest;
  const line = document.getElementById("agreement");
  line.replaceChildren(...spans(agrees ? "agree" : "differ", { n: found.samples.length, most: most.toExponential(1) }));
  line.classList.toggle("warning", !agrees);
}

// A unit that is pointed at in one of these views is framed in all.
const together = (some) => some.forEach((view) => (view.beside = some.filter((each) => each !== view)));

// ---- contents ----

// Mark the section that is being read.
const reading = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      const link = document.querySelector(`#contents a[href="#${target.id}"]`);
      if (!isIntersecting) link?.removeAttribute("aria-current");
      else if (link) {
        link.setAttribute("aria-current", "true");
        const list = link.closest("ul"); // of chips on a phone
        list.scrollTo({ left: link.offsetLeft - list.offsetLeft - 16 });
      }
    }
  },
  { rootMargin: "-25% 0px -74% 0px" }, // a line across the window
);

// What the contents of the page need, when it begins and of what is put there later.
function furnish() {
  label(document.getElementById("contents"), "contents");
  for (const [box, items] of [["#contents", "a"], [".worst, .often", "button"]])
    for (const each of document.querySelectorAll(box)) oneStop(each, items);
  reading.disconnect();
  for (const section of document.querySelectorAll("section[id]")) {
    reading.observe(section);
    const head = section.querySelector("h2");
    head.id = `${section.id}-head`;
    section.setAttribute("aria-labelledby", head.id);
  }
  for (const matrix of document.querySelectorAll("table.confusion")) roving(matrix);
  for (const each of document.querySelectorAll("table.sortable")) if (!each.querySelector("th button")) sortable(each);
}

// ---- begin ----

window.lenet = { drawn: () => drawn }; // for who looks in from a console
furnish();
oneStop(document.querySelector(".tools"), "button");
document.getElementById("language").addEventListener("click", () => {
  setLanguage(language() === "en" ? "zh" : "en");
  remember(`language ${location.pathname}`, language());
});
document.getElementById("theme").addEventListener("click", () => {
  setTheme(!isDark());
  remember("theme", root.dataset.theme);
});
let width = root.clientWidth, settling = 0;
addEventListener("resize", () => {
  if (root.clientWidth === width) return; // such as when a phone's address bar slides away
  width = root.clientWidth;
  leave(); // where it stood there may be no page any more
  clearTimeout(settling);
  settling = setTimeout(() => {
    views.forEach((view) => view.draw());
    drawCharts((element) => columnsOf(element, charts.get(element)?.names) !== charts.get(element)?.columns);
  }, 100); // charts change their width by themselves
});
addEventListener("beforeprint", () => repaint("light"));
addEventListener("afterprint", () => repaint());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => repaint());
if (remembered("theme")) root.dataset.theme = remembered("theme");
const unpacked = (drawn = unpackVega());
setLanguage(remembered(`language ${location.pathname}`) ?? language());
const built = unpacked.then(pause, pause).then(network).then(timeline); // once a first chart is there
const chosen = document.querySelector("#second input");
if (chosen) {
  label(chosen, "second");
  chosen.addEventListener("change", () => openSecond(chosen.files[0]));
}
addEventListener("dragover", (event) => event.preventDefault()); // else a browser opens what is dropped
addEventListener("drop", (event) => {
  event.preventDefault();
  const file = event.dataTransfer.files[0];
  if (isReport(file)) openSecond(file);
});
Promise.all([drawn, built.then(pictures).then(compare)]).then(() => (root.dataset.ready = "yes"));
