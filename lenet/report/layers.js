// A view of one image in the network: the image, every layer's maps, the probabilities. Pointing at
// a unit frames the window it comes from and its receptive field.

const SIDE = 84; // pixels of the screen that a map takes, about
const GAP = 4;
const BRUSHES = { 1: 0.6, 2: 1.1, 3: 1.7 }; // radius in pixels of the image

function buildView(element, network, layers, own) {
  const [height, width, channels] = network.image_shape;
  const drawn = own && channels === 1; // what is drawn and what files become is grey
  const view = {
    element,
    own,
    image: new Float64Array(height * width * channels),
    outputs: [],
    unit: null, // {layer, row, column, channel}
    opened: null, // a picture that is shown as it was opened: {name, both: [shown, the other]}
    cursor: { row: height >> 1, column: width >> 1 },
    brush: 2,
  };
  const controls = add(element, "div", { className: "controls" });
  const look = add(element, "div", { className: "look" });
  const input = add(look, "div", { className: "input" });
  view.input = add(input, "canvas", { tabIndex: drawn ? 0 : -1 });
  label(view.input, drawn ? "canvas" : "image");
  view.input.setAttribute("role", drawn ? "application" : "img");
  view.bars = add(look, "div", { className: "bars" });
  const note = add(element, "p", { className: "note" });
  note.setAttribute("role", "status");
  view.note = (key = "", values = {}) => note.replaceChildren(...(key ? spans(key, values) : []));
  view.readout = add(element, "p", { className: "readout" });
  view.readout.setAttribute("role", "status");
  view.canvases = layers.map((layer, at) => layerCanvas(view, layers, at));
  view.show = (image) => {
    view.image = image;
    view.opened = null;
    view.note();
    view.outputs = forward(layers, network.image_shape, image.map((x) => x / 255));
    draw(view, network, layers);
  };
  view.draw = () => draw(view, network, layers);
  view.changed = (image) => {
    view.forget?.();
    view.show(image);
  };
  view.show(view.image);
  sampleChoice(view, network, controls);
  if (own) buttons(view, network, controls);
  else view.choose?.(network.samples.findIndex((s) => s.label === Number(element.dataset.class)));
  if (drawn) {
    files(view, network, controls);
    painting(view, network, controls);
  }
  return view;
}

// The canvas of a layer's maps. Its keys move from unit to unit, which a screen reader has to let by.
function layerCanvas(view, layers, at) {
  const figure = add(view.element, "figure", { className: "layer" });
  const name = `${layers[at].name} · ${sizes(layers[at])}`;
  add(figure, "figcaption", { textContent: name });
  const canvas = add(figure, "canvas", { tabIndex: 0 });
  canvas.setAttribute("role", "application");
  canvas.setAttribute("aria-label", name);
  canvas.addEventListener("pointermove", (event) => point(view, layers, at, event));
  canvas.addEventListener("pointerdown", (event) => point(view, layers, at, event));
  canvas.addEventListener("pointerleave", (event) => {
    if (event.pointerType === "mouse") select(view, layers, null); // a finger is lifted at once
  });
  canvas.addEventListener("focus", () => {
    if (canvas.matches(":focus-visible"))
      select(view, layers, { layer: at, row: 0, column: 0, channel: 0 });
  });
  canvas.addEventListener("blur", () => select(view, layers, null));
  canvas.addEventListener("keydown", (event) => move(view, layers, at, event));
  return canvas;
}

function sizes(layer) {
  const [h, w, c] = layer.shape;
  return layer.kind === "dense" ? String(c) : `${h} × ${w} × ${c}`;
}

function sampleChoice(view, network, controls) {
  if (!network.samples.length) return;
  const select = add(controls, "select", {});
  label(select, "choose");
  const none = add(select, "option", { value: "-1" });
  worded(none, "choose");
  network.samples.forEach((sample, i) => {
    const option = add(select, "option", { value: String(i) });
    worded(option, "sample", { name: className(sample.label), index: sample.index });
  });
  view.choose = (i) => {
    select.value = String(i);
    if (i >= 0) view.show(Float64Array.from(bytes(network.samples[i].pixels)));
  };
  select.addEventListener("change", () => view.choose(Number(select.value)));
  view.forget = () => (select.value = "-1");
}

function buttons(view, network, controls) {
  const button = (act) => {
    const made = add(controls, "button", { type: "button" });
    made.addEventListener("click", act);
    return made;
  };
  button(() => view.changed(new Float64Array(view.image.length))).append(...spans("clear"));
  button(() => {
    if (view.opened) view.open(view.opened.name, [...view.opened.both].reverse());
    else view.changed(view.image.map((x) => 255 - x));
  }).append(...spans("invert"));
  const ways = { left: ["←", 0, -1], right: ["→", 0, 1], up: ["↑", -1, 0], down: ["↓", 1, 0] };
  for (const [key, [sign, down, right]] of Object.entries(ways)) {
    const moved = (image) => shifted(image, network.image_shape, down, right);
    const made = button(() => {
      if (view.opened)
        view.open(view.opened.name, view.opened.both.map((each) => ({ ...each, values: moved(each.values) })));
      else view.changed(moved(view.image));
    });
    made.textContent = sign;
    label(made, key);
  }
}

// Pictures that are opened or dropped.
function files(view, network, controls) {
  const [height, width] = network.image_shape;
  const file = add(controls, "input", { type: "file", accept: "image/png,image/jpeg" });
  label(file, "file");
  view.open = (name, both) => {
    const [{ values, contrast, inverted, light }] = both;
    view.changed(values);
    view.opened = { name, both };
    if (contrast < FAINT) view.note("faint", { name, contrast });
    else if (light) view.note(inverted ? "inverted" : "light", { name });
  };
  const open = async (chosen) => {
    if (!chosen) return;
    const { name } = chosen;
    try {
      const [plain, inverted] = await picturesOf(chosen, height, width);
      const both = [plain, { ...inverted, light: plain.light, inverted: true }];
      view.open(name, plain.light ? both.reverse() : both);
    } catch (error) {
      const limits = { megabytes: LIMITS.bytes / 1e6, megapixels: LIMITS.pixels / 1e6 };
      view.note(...(error instanceof TooLarge ? ["large", { name, ...limits }] : ["notpicture", { name }]));
    }
  };
  file.addEventListener("change", () => open(file.files[0]));
  const box = view.element;
  box.addEventListener("dragover", (event) => {
    event.preventDefault();
    box.classList.add("dropping");
  });
  box.addEventListener("dragleave", () => box.classList.remove("dropping"));
  box.addEventListener("drop", (event) => {
    event.preventDefault();
    box.classList.remove("dropping");
    open(event.dataTransfer.files[0]);
  });
}

// Drawing, with a pointer or with keys.
function painting(view, network, controls) {
  const [height, width] = network.image_shape;
  const canvas = view.input;
  const brush = add(controls, "select", {});
  label(brush, "brush");
  Object.keys(BRUSHES).forEach((size) => worded(add(brush, "option", { value: size }), "width", { size }));
  brush.value = String(view.brush);
  brush.addEventListener("change", () => (view.brush = Number(brush.value)));
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return {
      row: ((event.clientY - box.top) / box.height) * height - 0.5,
      column: ((event.clientX - box.left) / box.width) * width - 0.5,
    };
  };
  let last = null;
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    last = place(event);
    paint(view, network, last, 255);
    view.changed(view.image);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!last) return;
    const next = place(event);
    const steps = Math.ceil(2 * Math.hypot(next.row - last.row, next.column - last.column)) || 1;
    for (let s = 1; s <= steps; s++) {
      const part = s / steps;
      const row = last.row + (next.row - last.row) * part;
      paint(view, network, { row, column: last.column + (next.column - last.column) * part }, 255);
    }
    last = next;
    view.changed(view.image);
  });
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => (last = null));
  canvas.addEventListener("keydown", (event) => {
    const step = STEPS[event.key];
    if (step) {
      view.cursor.row = clamp(view.cursor.row + step[0], height);
      view.cursor.column = clamp(view.cursor.column + step[1], width);
      view.draw();
      view.readout.textContent = say("cursor", view.cursor);
    } else if ([" ", "Enter", "Delete"].includes(event.key)) {
      paint(view, network, view.cursor, event.key === "Delete" ? 0 : 255);
      view.changed(view.image);
    } else return;
    event.preventDefault();
  });
  canvas.addEventListener("focus", view.draw);
  canvas.addEventListener("blur", view.draw);
}

const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
const clamp = (x, most) => Math.min(Math.max(x, 0), most - 1);

// A round spot of ink with a soft edge; of no ink, it erases.
function paint(view, network, { row, column }, ink) {
  const [height, width] = network.image_shape;
  const radius = BRUSHES[view.brush];
  for (let i = 0; i < height; i++)
    for (let j = 0; j < width; j++) {
      const share = Math.min(Math.max(radius + 0.5 - Math.hypot(i - row, j - column), 0), 1);
      const at = i * width + j;
      if (ink) view.image[at] = Math.max(view.image[at], Math.round(ink * share));
      else if (share > 0) view.image[at] = 0;
    }
}

function shifted(image, [height, width, channels], down, right) {
  const moved = new Float64Array(image.length);
  for (let i = 0; i < height; i++)
    for (let j = 0; j < width; j++) {
      const y = i - down, x = j - right;
      if (y < 0 || x < 0 || y >= height || x >= width) continue;
      for (let c = 0; c < channels; c++)
        moved[(i * width + j) * channels + c] = image[(y * width + x) * channels + c];
    }
  return moved;
}

// How the maps of a layer lie on its canvas.
function layout(layer, available) {
  const [h, w, c] = layer.shape;
  const flat = h * w === 1;
  const scale = flat ? 12 : Math.max(1, Math.min(14, Math.floor(SIDE / Math.max(h, w))));
  const gap = flat ? 1 : GAP;
  const [cellHeight, cellWidth] = [h * scale + gap, w * scale + gap];
  const columns = Math.max(1, Math.min(c, Math.floor((available + gap) / cellWidth)));
  const rows = Math.ceil(c / columns);
  return { h, w, c, scale, gap, cellHeight, cellWidth, columns, width: columns * cellWidth - gap, height: rows * cellHeight - gap };
}

function corner(lay, channel) {
  return [
    (channel % lay.columns) * lay.cellWidth,
    Math.floor(channel / lay.columns) * lay.cellHeight,
  ];
}

function draw(view, network, layers) {
  const [height, width, channels] = network.image_shape;
  const scale = Math.max(1, Math.round(280 / Math.max(height, width)));
  const marks = view.unit ? windows(layers, view.unit.layer, view.unit.row, view.unit.column) : [];
  view.input.width = width * scale;
  view.input.height = height * scale;
  const context = view.input.getContext("2d");
  blit(context, 0, 0, height, width, scale, (i) =>
    [0, 1, 2].map((k) => view.image[i * channels + (channels === 1 ? 0 : Math.min(k, channels - 1))]),
  );
  if (marks.length) frame(context, 0, 0, { h: height, w: width, scale }, marks[0], "--field");
  if (document.activeElement === view.input)
    frame(context, 0, 0, { h: height, w: width, scale }, spot(view.cursor), "--window");
  const available = view.element.clientWidth - 26;
  const edge = colour("--edge"); // once for hundreds of maps and units
  view.layouts = layers.map((layer, at) => {
    const lay = layout(layer, available);
    const canvas = view.canvases[at];
    [canvas.width, canvas.height] = [lay.width, lay.height];
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, lay.width, lay.height);
    const { values } = view.outputs[at];
    let [low, high] = [Infinity, -Infinity];
    for (const x of values) [low, high] = [Math.min(low, x), Math.max(high, x)];
    const grey = (x) => (high > low ? (255 * (x - low)) / (high - low) : 255);
    for (let c = 0; c < lay.c; c++) {
      const [left, top] = corner(lay, c);
      blit(context, left, top, lay.h, lay.w, lay.scale, (i) => Array(3).fill(grey(values[i * lay.c + c])));
      outline(context, left, top, lay.w * lay.scale, lay.h * lay.scale, edge); // white on white is nothing
      if (!view.unit) continue;
      if (at === view.unit.layer && c === view.unit.channel)
        frame(context, left, top, lay, spot(view.unit), "--window");
      // A pooling looks at its own channel alone.
      const before = at === view.unit.layer - 1;
      if (before && (layers[at + 1].kind !== "pool" || c === view.unit.channel))
        frame(context, left, top, lay, marks[at + 1], "--window");
    }
    return lay;
  });
  tell(view, network, layers, marks);
}

const spot = ({ row, column }) => ({ top: row, left: column, bottom: row, right: column });

// Pixels of `pixel(i)` = [r, g, b], each `scale` wide.
function blit(context, left, top, height, width, scale, pixel) {
  const small = document.createElement("canvas");
  [small.width, small.height] = [width, height];
  const inner = small.getContext("2d");
  const data = inner.createImageData(width, height);
  for (let i = 0; i < height * width; i++) data.data.set([...pixel(i), 255], 4 * i);
  inner.putImageData(data, 0, 0);
  context.imageSmoothingEnabled = false;
  context.drawImage(small, left, top, width * scale, height * scale);
}

function outline(context, left, top, width, height, edge) {
  context.strokeStyle = edge;
  context.lineWidth = 1;
  context.strokeRect(left + 0.5, top + 0.5, width - 1, height - 1);
}

function frame(context, left, top, lay, window, name) {
  const [t, l] = [Math.max(window.top, 0), Math.max(window.left, 0)];
  const [b, r] = [Math.min(window.bottom, lay.h - 1), Math.min(window.right, lay.w - 1)];
  context.strokeStyle = colour(name);
  context.lineWidth = 2;
  context.strokeRect(left + l * lay.scale + 1, top + t * lay.scale + 1, (r - l + 1) * lay.scale - 2, (b - t + 1) * lay.scale - 2);
}

function point(view, layers, at, event) {
  const canvas = view.canvases[at], lay = view.layouts[at];
  const box = canvas.getBoundingClientRect();
  const x = ((event.clientX - box.left) / box.width) * lay.width;
  const y = ((event.clientY - box.top) / box.height) * lay.height;
  const channel = Math.floor(y / lay.cellHeight) * lay.columns + Math.floor(x / lay.cellWidth);
  const row = Math.floor((y % lay.cellHeight) / lay.scale);
  const column = Math.floor((x % lay.cellWidth) / lay.scale);
  const inside = x >= 0 && y >= 0 && channel < lay.c && row < lay.h && column < lay.w;
  select(view, layers, inside ? { layer: at, row, column, channel } : null);
}

function move(view, layers, at, event) {
  const lay = view.layouts[at];
  const unit = { ...(view.unit ?? { row: 0, column: 0, channel: 0 }), layer: at };
  const flat = lay.h * lay.w === 1;
  const step = STEPS[event.key];
  if (step && flat) unit.channel = clamp(unit.channel + step[1] + step[0] * lay.columns, lay.c);
  else if (step) {
    unit.row = clamp(unit.row + step[0], lay.h);
    unit.column = clamp(unit.column + step[1], lay.w);
  } else if (event.key === "PageDown") unit.channel = clamp(unit.channel + 1, lay.c);
  else if (event.key === "PageUp") unit.channel = clamp(unit.channel - 1, lay.c);
  else return;
  event.preventDefault();
  select(view, layers, unit);
}

function select(view, layers, unit) {
  if (JSON.stringify(unit) === JSON.stringify(view.unit)) return;
  view.unit = unit;
  view.draw();
}

// The unit in words, and the probabilities.
function tell(view, network, layers, marks) {
  const [height, width] = network.image_shape;
  let said = say("hover");
  if (view.unit) {
    const { layer, row, column, channel } = view.unit;
    const { shape, values, name, kind } = view.outputs[layer];
    const value = values[(row * shape[1] + column) * shape[2] + channel];
    const [top, left] = [Math.max(marks[0].top, 0), Math.max(marks[0].left, 0)];
    const [bottom, right] = [Math.min(marks[0].bottom, height - 1), Math.min(marks[0].right, width - 1)];
    said = say(kind === "dense" ? "flat" : "unit", {
      name, channel, row, column, value: value.toPrecision(4), top, left, bottom, right,
    });
  }
  // A screen reader reads it out at every change.
  if (view.readout.textContent !== said) view.readout.textContent = said;
  view.bars.replaceChildren();
  if (view.own && !view.image.some((x) => x > 0)) {
    add(view.bars, "p", { className: "all" }).append(...spans("empty"));
    return;
  }
  const logits = view.outputs.at(-1).values;
  const shares = softmax(logits);
  const order = Array.from(shares.keys());
  const best = order.reduce((a, b) => (shares[b] > shares[a] ? b : a), 0);
  if (order.length > 20) order.sort((a, b) => shares[b] - shares[a]).splice(10);
  for (const key of ["class", null, "probability", "logit"])
    add(view.bars, "span", { className: "head" }).append(...(key ? spans(key) : []));
  for (const k of order) {
    const [first, name] = [k === best ? "first" : "", className(k)(language())];
    add(view.bars, "span", { className: first, textContent: name });
    const meter = add(view.bars, "meter", { min: 0, max: 1, value: shares[k] });
    meter.setAttribute("aria-label", name);
    add(view.bars, "span", { className: first, textContent: shares[k].toFixed(3) });
    add(view.bars, "span", { className: "logit", textContent: logits[k].toFixed(2) });
  }
}
