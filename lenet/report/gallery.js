// Pictures of the test set: behind a cell of the confusion matrix, and a browser of all in the page.
// Each opens in the network.

const AT_ONCE = 24; // pictures of the browser

let shots = []; // of each picture: {index, label, predicted, probability}

async function pictures() {
  if (!payload.sprite) return;
  shots = payload.tiles.map(([index, label, predicted, probability]) => ({ index, label, predicted, probability }));
  const sheet = new Image();
  sheet.src = payload.sprite.uri;
  await sheet.decode();
  for (const box of document.querySelectorAll("[data-browser]")) browser(box, sheet);
  for (const box of document.querySelectorAll("[data-plane]")) plane(box, sheet);
  behindCells(sheet);
}

// Buttons with pictures, one stop for Tab; arrows move among them.
function gallery(box, sheet, tiles) {
  const { height, width } = payload.sprite;
  const own = views.find((view) => view.own);
  for (const at of tiles) {
    const button = add(add(box, "figure", {}), "button", { type: "button", tabIndex: at === tiles[0] ? 0 : -1, disabled: !own });
    const canvas = add(button, "canvas", { width, height });
    canvas.setAttribute("role", "img");
    const { truth, taken, share, index } = about(shots[at]);
    label(canvas, "tile", { truth, taken, share, index });
    drawTile(canvas.getContext("2d"), sheet, at, 0, 0, width, height);
    const caption = (lang) => (truth(lang) === taken(lang) ? truth(lang) : `${truth(lang)} → ${taken(lang)}`);
    add(button, "span", {}).append(...inEach((lang) => `${caption(lang)} ${share}`));
    button.addEventListener("click", () => openTile(own, sheet, at));
  }
  box.addEventListener("keydown", (event) => {
    const step = STEPS[event.key];
    const buttons = [...box.querySelectorAll("button")];
    if (!step || !buttons.includes(event.target)) return;
    event.preventDefault();
    const below = buttons.findIndex((each) => each.offsetTop > buttons[0].offsetTop);
    const next = buttons[buttons.indexOf(event.target) + step[1] + step[0] * (below < 0 ? buttons.length : below)];
    if (!next) return;
    for (const each of buttons) each.tabIndex = each === next ? 0 : -1;
    next.focus();
  });
}

// Draw a picture of the sheet at a place of a canvas, as wide and high as it is to be.
function drawTile(context, sheet, at, x, y, wide, high) {
  const { columns, height, width } = payload.sprite;
  context.drawImage(sheet, (at % columns) * width, Math.floor(at / columns) * height, width, height, x, y, wide, high);
}

// What is said of a picture.
function about({ index, label: truth, predicted, probability }) {
  return { truth: className(truth), taken: className(predicted), share: (probability ?? NaN).toFixed(3), index };
}

// Put a picture into the network, to be changed and explained there.
function openTile(view, sheet, at) {
  const { height, width } = payload.sprite, channels = payload.network.image_shape[2];
  const context = offscreen(null, width, height).getContext("2d");
  drawTile(context, sheet, at, 0, 0, width, height);
  const { data } = context.getImageData(0, 0, width, height);
  view.keep();
  view.changed(Float64Array.from({ length: height * width * channels }, (_, i) => data[4 * Math.floor(i / channels) + (i % channels)]));
  view.note("sample", { name: className(shots[at].label), index: shots[at].index }, true);
  const section = view.element.closest("section");
  history.pushState(null, "", `#${section.id}`); // from which Back leads to this picture
  section.scrollIntoView();
  view.input.focus({ preventScroll: true });
}

// Cells as dark as their counts are: of its class what is right, of the largest mistake what is wrong.
function shade(cells) {
  const wrong = cells.filter((cell) => !("right" in cell.dataset)).map((cell) => cell.dataset.count);
  for (const cell of cells) {
    const whole = "right" in cell.dataset ? cell.dataset.total : Math.max(...wrong);
    cell.style.setProperty("--share", whole > 0 ? Math.sqrt(cell.dataset.count / whole) : 0);
  }
}

function behindCells(sheet) {
  const behind = document.getElementById("behind");
  let first;
  shade([...document.querySelectorAll("button[data-total]")]);
  for (const button of document.querySelectorAll("[data-cell]")) {
    const [truth, taken] = button.dataset.cell.split(",").map(Number);
    const tiles = payload.cells[button.dataset.cell] ?? [];
    const about = { truth: className(truth), taken: className(taken), shown: tiles.length, count: payload.counts[button.dataset.cell] ?? 0 };
    const key = truth === taken ? "right_behind" : "behind";
    if (!button.classList.contains("pill")) label(button, key, about);
    const open = () => {
      for (const other of document.querySelectorAll("button[data-cell]")) other.setAttribute("aria-pressed", String(other === button));
      behind.replaceChildren();
      add(behind, "h3", {}).append(...spans(key, about));
      gallery(add(behind, "div", { className: "gallery" }), sheet, tiles);
    };
    button.addEventListener("click", () => {
      if (!button.closest("#confusion")) document.getElementById("confusion").scrollIntoView();
      open();
    });
    if (button.closest(".often")) first ??= open;
    if (button.closest(".worst")) addExamples(button, sheet, tiles.slice(0, 3));
  }
  first?.(); // what lies behind a cell is seen before one is pressed
}

// What a confusion looks like: a few of its pictures beside its name.
function addExamples(button, sheet, tiles) {
  const { height, width } = payload.sprite;
  for (const at of tiles) {
    const canvas = add(button, "canvas", { width, height });
    canvas.setAttribute("aria-hidden", "true");
    drawTile(canvas.getContext("2d"), sheet, at, 0, 0, width, height);
  }
}

// All pictures in the page, by true class, prediction, right or wrong, and confidence.
function browser(box, sheet) {
  const controls = add(box, "div", { className: "controls" });
  const choice = (key, options) => {
    const select = add(controls, "select", {});
    label(select, key);
    for (const [value, text] of options) {
      const option = add(select, "option", { value });
      if (typeof text === "string") worded(option, text);
      else labels.set(option, () => (option.textContent = text(language()))).get(option)();
    }
    select.addEventListener("change", () => show(AT_ONCE));
    return select;
  };
  const classes = payload.class_names.en.map((_, k) => [String(k), className(k)]);
  const truth = choice("truth", [["", "any_truth"], ...classes]);
  const taken = choice("taken", [["", "any_taken"], ...classes]);
  const kind = choice("kind", [["wrong", "wrong"], ["right", "correct"], ["all", "all"]]);
  const order = choice("order", [["sure", "surest"], ["doubtful", "most_doubtful"]]);
  const found = add(box, "p", {});
  found.setAttribute("role", "status");
  let list = add(box, "div", { className: "gallery" });
  const more = add(box, "button", { type: "button" });
  more.append(...spans("more"));
  let count = AT_ONCE;
  const show = (most) => {
    count = most;
    const tiles = [...shots.keys()].filter((at) => {
      const { label: was, predicted } = shots[at];
      const of = (select, k) => select.value === "" || Number(select.value) === k;
      return of(truth, was) && of(taken, predicted) && (kind.value === "all" || (was === predicted) === (kind.value === "right"));
    });
    const sign = order.value === "sure" ? -1 : 1;
    tiles.sort((a, b) => sign * (shots[a].probability - shots[b].probability));
    found.replaceChildren(...spans("found", { shown: Math.min(count, tiles.length), n: tiles.length }));
    const fresh = Object.assign(document.createElement("div"), { className: "gallery" });
    gallery(fresh, sheet, tiles.slice(0, count));
    list.replaceWith(fresh);
    list = fresh;
    more.hidden = count >= tiles.length;
  };
  more.addEventListener("click", () => show(count + AT_ONCE));
  show(AT_ONCE);
}
