// Language, theme, charts, tables, pictures; and the views of the network.

const payload = JSON.parse(document.getElementById("payload").textContent);
const root = document.documentElement;

const TEXT = {
  en: {
    clear: "Clear", invert: "Invert", left: "move left", right: "move right", up: "move up",
    down: "move down", brush: "width of the brush", file: "open a picture", choose: "choose an image",
    canvas: "draw here: arrow keys move, space paints, Delete erases", image: "the image",
    hover: "Point at a unit of a layer, or tap on one.",
    empty: "Draw something, open a picture or choose an image: a network cannot say that there is nothing.",
    class: "class", probability: "probability", logit: "logit", sample: "{name}, test image {index}",
    width: "brush {size}",
    unit: "{name}, channel {channel}, row {row}, column {column}: {value}. It sees rows {top} to {bottom} and columns {left} to {right} of the image.",
    flat: "{name}, unit {channel}: {value}. It sees rows {top} to {bottom} and columns {left} to {right} of the image.",
    notpicture: "{name}: no PNG or JPEG that can be read, or an animation.",
    behind: "{truth}, taken for {taken}: {shown} of {count}", right_behind: "{truth}, recognised: {shown} of {count}",
    tile: "{truth}, taken for {taken} with {share}; test image {index}",
    agree: "Checked: the logits of {n} images differ from JAX's by at most {most}.",
    differ: "WRONG HERE: the logits of {n} images differ from JAX's by up to {most}. Do not trust the layers in this browser.",
    kernels: "{name}: {c} × {n} kernels of {k} × {k}", contents: "contents",
    cursor: "row {row}, column {column}",
  },
  zh: {
    clear: "清空", invert: "反色", left: "左移", right: "右移", up: "上移", down: "下移",
    brush: "画笔粗细", file: "打开图片", choose: "选择图像",
    canvas: "在此绘制：方向键移动，空格键上色，Delete 键擦除", image: "图像",
    hover: "指向某一层的一个单元，或轻点它。",
    empty: "画点什么、打开一张图片或选一张图像：网络无法说“什么也没有”。",
    class: "类别", probability: "概率", logit: "logit", sample: "{name}，第 {index} 张测试图像",
    width: "画笔 {size}",
    unit: "{name}，通道 {channel}，第 {row} 行第 {column} 列：{value}。它看到图像的第 {top} 至 {bottom} 行、第 {left} 至 {right} 列。",
    flat: "{name}，单元 {channel}：{value}。它看到图像的第 {top} 至 {bottom} 行、第 {left} 至 {right} 列。",
    notpicture: "{name}：不是可读取的 PNG 或 JPEG，或者是动画。",
    behind: "{truth} 被当作 {taken}：{count} 张中的 {shown} 张", right_behind: "{truth} 认对了：{count} 张中的 {shown} 张",
    tile: "{truth} 被当作 {taken}，概率 {share}；第 {index} 张测试图像",
    agree: "已核对：{n} 张图像的 logits 与 JAX 的相差至多 {most}。",
    differ: "此处有误：{n} 张图像的 logits 与 JAX 的相差达 {most}。不要相信此浏览器里的各层。",
    kernels: "{name}：{c} × {n} 个 {k} × {k} 的卷积核", contents: "目录",
    cursor: "第 {row} 行，第 {column} 列",
  },
};

const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
const language = () => root.lang;
const say = (key, values = {}) => fill(TEXT[language()][key], values);

function spans(key, values = {}) {
  return Object.keys(TEXT).map((lang) => {
    const span = document.createElement("span");
    span.lang = lang;
    span.textContent = fill(TEXT[lang][key], values);
    return span;
  });
}

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

// What a variable of the style is at the moment.
const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();

function setTheme(dark) {
  root.dataset.theme = dark ? "dark" : "light";
  drawCharts();
  views.forEach((view) => view.draw());
}

// ---- charts ----

// How a chart of some width looks; a legend has as many columns as its longest name leaves room for.
function theme(width, longest) {
  const { theme, colours, ramps } = payload.look;
  const category = colours[paper()];
  return {
    ...theme,
    background: null,
    font: getComputedStyle(document.body).fontFamily,
    mark: { color: category[0] },
    point: { color: category[0] },
    range: { category, ramp: ramps[paper()], heatmap: ramps[paper()] },
    legend: { ...theme.legend, columns: Math.max(1, Math.floor(width / (6.5 * longest + 36))) },
  };
}

const paper = () => (isDark() ? "dark" : "light");

function drawCharts() {
  const params = ["ink", "quiet", "line", "paper"].map((name) => ({ name: `${name}Colour`, value: colour(`--${name}`) }));
  params.push({ name: "bandColour", value: payload.look.colours[paper()][1] });
  const made = [...document.querySelectorAll("[data-chart]")].map((element) => {
    const spec = structuredClone(payload.charts[element.dataset.chart][language()]);
    const { names = [""], note } = spec.usermeta ?? {};
    spec.params = [...params, ...(spec.params ?? [])];
    spec.datasets = payload.data;
    element.parentElement.querySelector("figcaption").textContent = note ? `${spec.description} · ${note}` : spec.description;
    return window.vegaEmbed(element, spec, {
      ast: true, // no code from strings: the page's policy forbids it
      renderer: "svg",
      actions: false,
      defaultStyle: false,
      tooltip: { disableDefaultStyle: true },
      config: theme(element.clientWidth, Math.max(...names.map((name) => name.length))),
    });
  });
  drawn = Promise.all(made);
}

let drawn = Promise.resolve();

// ---- tables ----

function fillTables() {
  for (const box of document.querySelectorAll("[data-rows]")) {
    const details = box.closest("details");
    if (!payload.data[box.dataset.rows]?.length) details.hidden = true;
    details.addEventListener("toggle", () => fillTable(box, false));
  }
}

function fillTable(box, anew) {
  if (!box.closest("details").open || (box.firstChild && !anew)) return;
  box.replaceChildren(table(payload.data[box.dataset.rows]));
}

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
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((each) => each.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
      const rows = [...made.tBodies[0].rows];
      rows.sort((a, b) => compare(key(a), key(b), down));
      made.tBodies[0].append(...rows);
    });
  });
}

function compare(a, b, down) {
  if (a === "" || b === "") return (a === "") - (b === "");
  const [x, y] = [Number(a), Number(b)];
  const order = Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b) : x - y;
  return down ? -order : order;
}

// ---- pictures of the test set ----

async function pictures() {
  if (!payload.sprite) return;
  const sheet = new Image();
  sheet.src = payload.sprite.uri;
  await sheet.decode();
  const names = payload.class_names;
  const gallery = (box, tiles) => {
    for (const at of tiles) {
      const { index, label: truth, predicted, probability } = payload.tiles[at];
      const { columns, height, width } = payload.sprite;
      const figure = add(box, "figure", {});
      const canvas = add(figure, "canvas", { width, height });
      canvas.setAttribute("role", "img");
      const values = { truth: names[truth], taken: names[predicted], share: (probability ?? NaN).toFixed(3), index };
      label(canvas, "tile", values);
      canvas
        .getContext("2d")
        .drawImage(sheet, (at % columns) * width, Math.floor(at / columns) * height, width, height, 0, 0, width, height);
      const right = truth === predicted;
      add(figure, "figcaption", {
        textContent: right ? `${names[truth]} ${values.share}` : `${names[truth]} → ${names[predicted]} ${values.share}`,
      });
    }
  };
  for (const box of document.querySelectorAll("[data-tiles]")) gallery(box, JSON.parse(box.dataset.tiles));
  const behind = document.getElementById("behind");
  for (const button of document.querySelectorAll("[data-cell]")) {
    if (button.dataset.total > 0)
      button.style.setProperty("--share", Math.sqrt(button.dataset.count / button.dataset.total));
    const [truth, taken] = button.dataset.cell.split(",").map(Number);
    const tiles = payload.cells[button.dataset.cell] ?? [];
    const about = { truth: names[truth], taken: names[taken], shown: tiles.length, count: payload.counts[button.dataset.cell] ?? 0 };
    const key = truth === taken ? "right_behind" : "behind";
    if (!button.classList.contains("pill")) label(button, key, about);
    button.addEventListener("click", () => {
      for (const other of document.querySelectorAll("[data-cell]")) other.setAttribute("aria-pressed", String(other === button));
      behind.replaceChildren();
      add(behind, "h3", {}).append(...spans(key, about));
      gallery(add(behind, "div", { className: "gallery" }), tiles);
    });
  }
}

// ---- the network ----

const views = [];

function network() {
  const found = payload.network;
  if (!found) return;
  const layers = unpack(found);
  const logits = (pixels) =>
    Array.from(forward(layers, found.image_shape, Float64Array.from(pixels, (x) => x / 255)).at(-1).values);
  window.lenet = { logits, network: found, bytes, pictureOf: async (file) => fit(await greyOfFile(file), ...found.image_shape) };
  for (const element of document.querySelectorAll("[data-view]"))
    views.push(buildView(element, found, layers, element.dataset.view === "own"));
  kernels(layers);
  addEventListener("resize", () => views.forEach((view) => view.draw()));
  if (!found.samples.length) return;
  let [most, largest] = [0, 1];
  for (const sample of found.samples)
    logits(bytes(sample.pixels)).forEach((x, k) => {
      most = Math.max(most, Math.abs(x - sample.logits[k]));
      largest = Math.max(largest, Math.abs(sample.logits[k]));
    });
  const agrees = most <= 1e-4 * largest;
  const line = document.getElementById("agreement");
  line.append(...spans(agrees ? "agree" : "differ", { n: found.samples.length, most: most.toExponential(1) }));
  if (!agrees) line.className = "warning";
}

// Purple for negative, orange for positive weights; white is 0.
function kernels(layers) {
  const box = document.getElementById("kernel-pictures");
  box.className = "kernels";
  const edge = colour("--edge");
  let inputs = payload.network.image_shape[2];
  for (const layer of layers.filter((each) => each.kind === "conv")) {
    const [k, outputs] = [layer.size, layer.shape[2]];
    const most = layer.kernel.reduce((a, x) => Math.max(a, Math.abs(x)), 1e-12);
    const scale = inputs * k > 60 ? 4 : 10;
    const [side, apart] = [k * scale, k * scale + 4];
    const figure = add(box, "figure", {});
    const canvas = add(figure, "canvas", { width: outputs * apart, height: inputs * apart });
    canvas.setAttribute("role", "img");
    const words = { name: layer.name, c: outputs, n: inputs, k };
    label(canvas, "kernels", words);
    add(figure, "figcaption", {}).append(...spans("kernels", words));
    const context = canvas.getContext("2d");
    for (let f = 0; f < outputs; f++)
      for (let c = 0; c < inputs; c++) {
        const weight = (i) => layer.kernel[(i * inputs + c) * outputs + f];
        blit(context, f * apart, c * apart, k, k, scale, (i) => diverging(weight(i) / most));
        outline(context, f * apart, c * apart, side, side, edge);
      }
    inputs = outputs;
  }
}

function diverging(x) {
  const end = x > 0 ? [179, 88, 6] : [84, 39, 136];
  const share = Math.min(Math.abs(x), 1);
  return end.map((e) => Math.round(247 + (e - 247) * share));
}

// ---- begin ----

label(document.getElementById("contents"), "contents");
for (const each of document.querySelectorAll("table.sortable")) sortable(each);
fillTables();
network();
document.getElementById("language").addEventListener("click", () => {
  setLanguage(language() === "en" ? "zh" : "en");
  remember(`language ${location.pathname}`, language());
});
document.getElementById("theme").addEventListener("click", () => {
  setTheme(!isDark());
  remember("theme", root.dataset.theme);
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  drawCharts();
  views.forEach((view) => view.draw());
});
if (remembered("theme")) root.dataset.theme = remembered("theme");
setLanguage(remembered(`language ${location.pathname}`) ?? language());
Promise.all([drawn, pictures()]).then(() => (root.dataset.ready = "yes"));
