// A view of one image in the network: the image, every layer's maps, the probabilities. Pointing at
// a unit frames the window it comes from and its receptive field.

const SIDE = 84; // pixels of the screen that a map takes, at most
const HIGH = 180; // that the maps of a layer take, about
const GAP = 4;
const PAST = 50; // steps that can be undone
const BRUSHES = { 1: 0.6, 2: 1.1, 3: 1.7 }; // radius in pixels of the image

function buildView(element, network, layers, own) {
  const [height, width, channels] = network.image_shape;
  const drawn = own && channels === 1; // what is drawn and what files become is grey
  const view = {
    element,
    layers,
    own,
    beside: [], // views in which the same unit is framed
    followers: [], // views that show the same image
    image: new Float64Array(height * width * channels),
    outputs: [],
    pictures: [], // of each layer: its maps as they were drawn last, without frames
    unit: null, // {layer, row, column, channel}
    loupe: null, // the unit that is taken apart
    off: [], // channels that are switched off, {layer, channel}
    heat: null, // of each pixel: how much it speaks for the answer
    past: [], // what Undo brings back: [image, opened], the newest last
    opened: null, // a picture that is shown as it was opened: {name, both: [shown, the other]}
    cursor: { row: height >> 1, column: width >> 1 },
    brush: 2,
  };
  element.setAttribute("role", "group");
  label(element, "view", { n: views.length + 1 });
  const controls = add(element, "div", { className: "controls" });
  const note = add(element, "p", { className: "note" });
  note.setAttribute("role", "status");
  view.note = (key = "", values = {}, calm = false) => {
    note.replaceChildren(...(key ? spans(key, values) : []));
    note.classList.toggle("calm", calm);
  };
  const inside = add(element, "div", { className: "inside" });
  const side = add(inside, "div", { className: "side" });
  const input = add(side, "div", { className: "input" });
  view.input = add(input, "canvas", { tabIndex: drawn ? 0 : -1 });
  label(view.input, drawn ? "canvas" : "image");
  view.input.setAttribute("role", drawn ? "application" : "img");
  const strip = add(side, "div", { className: "strip" }); // what stays in sight on a phone
  view.small = add(strip, "canvas", { className: "small" });
  view.small.setAttribute("aria-hidden", "true");
  view.answer = add(strip, "p", { className: "answer" });
  view.silent = add(strip, "p", { className: "silent" }); // of channels that are switched off
  view.readout = add(strip, "p", { className: "readout" });
  view.readout.setAttribute("role", "status");
  view.maps = add(inside, "div", { className: "maps" });
  view.canvases = layers.map((layer, at) => layerCanvas(view, layers, at));
  oneStop(view.maps, "canvas", { ArrowUp: -1, ArrowDown: 1 }, true);
  view.bars = add(view.maps, "div", { className: "bars" });
  view.scales = view.canvases.map((canvas) => add(canvas.previousSibling, "span", { className: "scale" }));
  view.show = (image) => {
    view.image = Float64Array.from(image); // its own, to be painted on
    view.opened = null;
    view.note();
    view.compute();
    for (const each of view.followers) each.changed(image);
  };
  view.compute = () => {
    view.outputs = forward(layers, network.image_shape, view.image.map((x) => x / 255), view.off);
    view.heat = null;
    view.draw();
    view.explain();
  };
  view.keep = () => {
    view.past.push([Float64Array.from(view.image), view.opened]);
    view.past.splice(0, view.past.length - PAST);
  };
  view.undo = () => {
    const [image, opened] = view.past.pop() ?? [];
    if (!image) return;
    view.changed(image);
    view.opened = opened;
  };
  // All anew: of another image, width, theme or language.
  view.draw = () => {
    render(view, network, layers);
    tell(view, network);
    answer(view);
    view.told?.(); // who shows the same image and answer elsewhere
    takeApart(view, layers);
    view.silent.replaceChildren();
    allOn(view, view.silent);
    view.frame();
  };
  view.frame = () => frames(view, network, layers); // alone: of another unit or place of the cursor
  view.changed = (image) => {
    view.forget?.();
    view.show(image);
  };
  if (element.dataset.view !== "second") sampleChoice(view, network, controls);
  if (own) buttons(view, network, controls);
  explaining(view, network, layers, controls);
  const first = element.dataset.class === undefined ? network.samples.at(-1)?.label : Number(element.dataset.class);
  const sample = network.samples.findIndex(({ label }) => label === first);
  if (sample < 0 || !view.choose) view.show(view.image);
  else view.choose(sample);
  if (drawn) {
    files(view, network, controls);
    painting(view, network, controls);
  }
  return view;
}

// The canvas of a layer's maps. Its keys move from unit to unit, which a screen reader has to let by.
function layerCanvas(view, layers, at) {
  const figure = add(view.maps, "figure", { className: "layer" });
  const name = `${layers[at].name} · ${sizes(layers[at])}`;
  add(add(figure, "figcaption", {}), "span", { textContent: name });
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
  canvas.addEventListener("click", (event) => {
    point(view, layers, at, event); // again: the canvas that lost the focus has selected nothing
    if (view.unit) lookAt(view, layers, view.unit);
  });
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
  view.sample = () => Number(select.value); // -1: none of them
  const n = network.samples.length;
  view.step = (by) => view.choose(view.sample() < 0 ? 0 : (view.sample() + by + n) % n);
  select.addEventListener("change", () => view.choose(Number(select.value)));
  view.forget = () => (select.value = "-1");
}

function buttons(view, network, controls) {
  const box = add(controls, "div", { className: "toolbar" });
  box.setAttribute("role", "toolbar");
  label(box, "tools");
  const button = (act) => {
    const made = add(box, "button", { type: "button" });
    made.addEventListener("click", () => {
      if (act !== view.undo) view.keep();
      act();
    });
    return made;
  };
  button(() => view.changed(new Float64Array(view.image.length))).append(...spans("clear"));
  button(view.undo).append(...spans("undo"));
  button(() => {
    if (view.opened) view.open(view.opened.name, [...view.opened.both].reverse());
    else view.changed(view.image.map((x) => 255 - x));
  }).append(...spans("invert"));
  const shape = network.image_shape;
  const changes = {
    left: ["←", (image) => shifted(image, shape, 0, -1)],
    right: ["→", (image) => shifted(image, shape, 0, 1)],
    up: ["↑", (image) => shifted(image, shape, -1, 0)],
    down: ["↓", (image) => shifted(image, shape, 1, 0)],
    anticlockwise: ["↺", (image) => rotated(image, shape, -15)],
    clockwise: ["↻", (image) => rotated(image, shape, 15)],
    blur: ["≋", (image) => blurred(image, shape)],
    noise: ["⁘", noisy],
  };
  for (const [key, [sign, change]] of Object.entries(changes)) {
    const made = button(() => {
      if (view.opened)
        view.open(view.opened.name, view.opened.both.map((each) => ({ ...each, values: change(each.values) })));
      else view.changed(change(view.image));
    });
    made.textContent = sign;
    label(made, key);
  }
  oneStop(box, "button");
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
    else if (light) view.note(inverted ? "inverted" : "light", { name }, inverted);
  };
  const open = async (chosen) => {
    if (!chosen) return;
    const { name } = chosen;
    try {
      const [plain, inverted] = await picturesOf(chosen, height, width);
      const both = [plain, { ...inverted, light: plain.light, inverted: true }];
      view.keep();
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
    if (!isReport(event.dataTransfer.files[0])) open(event.dataTransfer.files[0]);
  });
  addEventListener("paste", (event) => open(event.clipboardData.files[0]));
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
  const tools = view.element.querySelector(".toolbar");
  const eraser = add(tools, "button", { type: "button", ariaPressed: "false" });
  eraser.append(...spans("erase"));
  eraser.addEventListener("click", () => (eraser.ariaPressed = String(!erases())));
  oneStop(tools, "button");
  const erases = () => eraser.ariaPressed === "true";
  let last = null, ink = 255;
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    view.keep();
    last = place(event);
    ink = event.button === 2 || erases() ? 0 : 255; // the right button erases, too
    paint(view, network, last, ink);
    view.changed(view.image);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!last) return;
    const next = place(event);
    const steps = Math.ceil(2 * Math.hypot(next.row - last.row, next.column - last.column)) || 1;
    for (let s = 1; s <= steps; s++) {
      const part = s / steps;
      const row = last.row + (next.row - last.row) * part;
      paint(view, network, { row, column: last.column + (next.column - last.column) * part }, ink);
    }
    last = next;
    nextFrame(view, "changed", () => view.changed(view.image));
  });
  for (const end of ["pointerup", "pointercancel"])
    canvas.addEventListener(end, () => {
      if (last) view.changed(view.image);
      last = null;
    });
  canvas.addEventListener("keydown", (event) => {
    const step = STEPS[event.key];
    if (step) {
      view.cursor.row = clamp(view.cursor.row + step[0], height);
      view.cursor.column = clamp(view.cursor.column + step[1], width);
      view.frame();
      view.readout.textContent = say("cursor", view.cursor);
    } else if (event.key === "z" && (event.ctrlKey || event.metaKey)) {
      view.undo();
    } else if ([" ", "Enter", "Delete"].includes(event.key)) {
      view.keep();
      paint(view, network, view.cursor, event.key === "Delete" || erases() ? 0 : 255);
      view.changed(view.image);
    } else return;
    event.preventDefault();
  });
  canvas.addEventListener("focus", view.frame);
  canvas.addEventListener("blur", view.frame);
}

// One stop for Tab among elements of a box, and keys, perhaps with Shift, that move inside it.
const AROUND = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 };
const stopIn = new WeakMap(); // of a box: the element that is its stop
function oneStop(box, selector, keys = AROUND, shift = false) {
  const all = () => [...box.querySelectorAll(selector)];
  const stop = (at) => {
    all().forEach((each) => (each.tabIndex = each === at ? 0 : -1));
    stopIn.set(box, at);
  };
  const before = stopIn.get(box);
  stop(box.contains(before) ? before : all()[0]);
  if (before) return; // there are more elements than before
  box.addEventListener("focusin", ({ target }) => target.matches(selector) && stop(target));
  box.addEventListener("keydown", (event) => {
    const among = all(), at = among.indexOf(event.target), step = keys[event.key];
    if (at < 0 || !step || event.shiftKey !== shift) return;
    event.preventDefault();
    among.at((at + step) % among.length).focus();
  });
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

// How the maps of a layer lie on its canvas: as large as SIDE, HIGH and the width allow.
function layout(layer, available) {
  const [h, w, c] = layer.shape;
  const flat = h * w === 1;
  const gap = flat ? 1 : GAP;
  const most = flat ? 16 : Math.max(1, Math.min(14, Math.floor(SIDE / Math.max(h, w))));
  const rowsOf = (scale) => Math.ceil(c / Math.max(1, Math.floor((available + gap) / (w * scale + gap))));
  let scale = most;
  while (!flat && scale > 2 && rowsOf(scale) * (h * scale + gap) > HIGH && rowsOf(scale - 1) < rowsOf(scale) + 1) {
    scale -= 1;
  }
  if (rowsOf(scale) === rowsOf(most)) scale = most; // smaller maps would save nothing
  const [cellHeight, cellWidth] = [h * scale + gap, w * scale + gap];
  const rows = rowsOf(scale), columns = Math.ceil(c / rows);
  return { h, w, c, scale, gap, cellHeight, cellWidth, columns, width: columns * cellWidth - gap, height: rows * cellHeight - gap };
}

function corner(lay, channel) {
  return [
    (channel % lay.columns) * lay.cellWidth,
    Math.floor(channel / lay.columns) * lay.cellHeight,
  ];
}

// Do something before the next frame is shown, once however often it is asked for.
function nextFrame(view, name, act) {
  view.waiting ??= {};
  view.waiting[name] ??= requestAnimationFrame(() => {
    delete view.waiting[name];
    act();
  });
}

// The image and the maps of each layer, on canvases off the screen.
function render(view, network, layers) {
  const [height, width, channels] = network.image_shape;
  const scale = Math.max(1, Math.round(280 / Math.max(height, width)));
  view.scale = scale;
  const part = (k) => (channels === 1 ? 0 : Math.min(k, channels - 1));
  const place = (i, k) => view.image[i * channels + part(k)];
  view.picture = offscreen(view.picture, width * scale, height * scale);
  const peak = largest(view.heat ?? []);
  const heated = (i, k, share = view.heat[i] / peak) => place(i, k) + Math.abs(share) * (diverging(share)[k] - place(i, k));
  blit(view.picture.getContext("2d"), 0, 0, height, width, scale, view.heat ? heated : place);
  const available = view.maps.clientWidth;
  const edge = colour("--edge"); // once for hundreds of maps and units
  view.layouts = layers.map((layer) => layout(layer, available));
  view.pictures = layers.map((layer, at) => {
    const lay = view.layouts[at], { values } = view.outputs[at];
    let [low, high] = [Infinity, -Infinity];
    for (const x of values) {
      if (x < low) low = x;
      if (x > high) high = x;
    }
    const signed = low < 0; // then white is 0, as of kernels
    const most = Math.max(-low, high, 1e-12);
    const span = high - low;
    const level = signed
      ? (x, k) => diverging(x / most)[k]
      : (x) => (span > 0 ? (255 * (x - low)) / span : 255);
    scaled(view.scales[at], signed ? -most : low, signed ? most : high, signed);
    const picture = offscreen(view.pictures[at], lay.width, lay.height);
    const context = picture.getContext("2d");
    for (let c = 0; c < lay.c; c++) {
      const [left, top] = corner(lay, c);
      blit(context, left, top, lay.h, lay.w, lay.scale, (i, k) => level(values[i * lay.c + c], k));
      outline(context, left, top, lay.w * lay.scale, lay.h * lay.scale, edge); // white on white is nothing
    }
    return picture;
  });
}

// An empty canvas of a size, the same again if there is one.
function offscreen(canvas, width, height) {
  const made = canvas ?? document.createElement("canvas");
  [made.width, made.height] = [width, height];
  return made;
}

// The least and the largest value of a layer at the ends of its colours.
function scaled(element, low, high, signed) {
  const number = (x) => String(Number(x.toPrecision(2)));
  const bar = document.createElement("i");
  bar.className = signed ? "signed" : "";
  element.replaceChildren(number(low), bar, number(high));
}

// The pictures on the screen, with the frames of the unit that is pointed at.
function frames(view, network, layers) {
  const [height, width] = network.image_shape, { scale, unit } = view;
  const marks = unit ? windows(layers, unit.layer, unit.row, unit.column) : [];
  for (const canvas of [view.input, view.small]) {
    const context = copied(canvas, view.picture);
    if (marks.length) frame(context, 0, 0, { h: height, w: width, scale }, marks[0], "--field");
    if (canvas === view.input && document.activeElement === canvas)
      frame(context, 0, 0, { h: height, w: width, scale }, spot(view.cursor), "--window");
  }
  layers.forEach((_, at) => {
    const lay = view.layouts[at];
    const context = copied(view.canvases[at], view.pictures[at]);
    if (!unit) return;
    if (at === unit.layer)
      frame(context, ...corner(lay, unit.channel), lay, spot(unit), "--window");
    if (at !== unit.layer - 1) return;
    // Pooling and normalisation look at their own channel alone.
    const looks = ["pool", "scaling"].includes(layers[at + 1].kind) ? [unit.channel] : Array.from({ length: lay.c }, (_, c) => c);
    for (const c of looks) frame(context, ...corner(lay, c), lay, marks[at + 1], "--window");
  });
}

function copied(canvas, picture) {
  if (canvas.width !== picture.width) canvas.width = picture.width;
  if (canvas.height !== picture.height) canvas.height = picture.height;
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, picture.width, picture.height);
  context.drawImage(picture, 0, 0);
  return context;
}

const spot = ({ row, column }) => ({ top: row, left: column, bottom: row, right: column });

// Pixels whose red, green and blue are `level(i, 0..2)`, each `scale` wide.
const buffer = document.createElement("canvas");
const inner = buffer.getContext("2d");
function blit(context, left, top, height, width, scale, level) {
  if (buffer.width !== width || buffer.height !== height) [buffer.width, buffer.height] = [width, height];
  const data = inner.createImageData(width, height);
  for (let i = 0; i < height * width; i++) {
    for (let k = 0; k < 3; k++) data.data[4 * i + k] = level(i, k);
    data.data[4 * i + 3] = 255;
  }
  inner.putImageData(data, 0, 0);
  context.imageSmoothingEnabled = false;
  context.drawImage(buffer, left, top, width * scale, height * scale);
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
  if (event.shiftKey) return; // to another layer
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
  else if (event.key === "Enter") lookAt(view, layers, unit);
  else if (event.key === "Escape") lookAt(view, layers, null);
  else return;
  event.preventDefault();
  select(view, layers, unit);
}

function select(view, layers, unit) {
  if (JSON.stringify(unit) === JSON.stringify(view.unit)) return;
  view.unit = unit;
  tell(view, payload.network);
  nextFrame(view, "frame", view.frame);
  for (const each of view.beside) if (!unit || isIn(unit, each.layers[unit.layer])) select(each, each.layers, unit);
}

const isIn = ({ row, column, channel }, layer) => row < layer?.shape[0] && column < layer.shape[1] && channel < layer.shape[2];

// The unit in words.
function tell(view, network) {
  const [height, width] = network.image_shape;
  let said = say("hover");
  if (view.unit) {
    const { layer, row, column, channel } = view.unit;
    const { shape, values, name, kind } = view.outputs[layer];
    const value = values[(row * shape[1] + column) * shape[2] + channel];
    const [field] = windows(view.outputs, layer, row, column);
    const [top, left] = [Math.max(field.top, 0), Math.max(field.left, 0)];
    const [bottom, right] = [Math.min(field.bottom, height - 1), Math.min(field.right, width - 1)];
    const of = layer === view.outputs.length - 1 ? `${name} · ${className(channel)(language())}` : name;
    said = say(kind === "dense" ? "flat" : "unit", {
      name: of, channel, row, column, value: value.toPrecision(4), top, left, bottom, right,
    });
  }
  // A screen reader reads it out at every change.
  if (view.readout.textContent !== said) view.readout.textContent = said;
}

// Say in place of the bars that there is no image to answer to; returns whether it is so.
function blank(view, bars) {
  if (!view.own || view.image.some((x) => x > 0)) return false;
  bars.replaceChildren();
  add(bars, "p", { className: "all" }).append(...spans("empty"));
  return true;
}

// The answer in words, and the probabilities as bars.
function answer(view) {
  const percent = (share) => `${(100 * share).toFixed(1)}%`;
  if (blank(view, view.bars)) {
    view.answer.textContent = "";
    return;
  }
  const logits = view.outputs.at(-1).values;
  const shares = softmax(logits);
  const order = Array.from(shares.keys());
  const best = order.reduce((a, b) => (shares[b] > shares[a] ? b : a), 0);
  if (order.length > 20) order.sort((a, b) => shares[b] - shares[a]).splice(10);
  view.answer.textContent = `${className(best)(language())}, ${percent(shares[best])}`;
  const columns = 4; // of a row: name, bar, probability, logit
  if (view.bars.childElementCount !== columns * (order.length + 1)) {
    view.bars.replaceChildren();
    for (const key of ["class", null, "probability", "logit"])
      add(view.bars, "span", { className: key === "logit" ? "head logit" : "head" }).append(...(key ? spans(key) : []));
    for (const _ of order) {
      add(view.bars, "span", {});
      add(view.bars, "meter", { min: 0, max: 1 });
      add(view.bars, "span", {});
      add(view.bars, "span", { className: "logit" });
    }
  }
  order.forEach((k, at) => {
    const [name, meter, share, logit] = [...view.bars.children].slice(columns * (at + 1), columns * (at + 2));
    name.textContent = className(k)(language());
    meter.value = shares[k];
    meter.setAttribute("aria-label", name.textContent);
    share.textContent = shares[k].toFixed(3);
    logit.textContent = logits[k].toFixed(2);
    for (const each of [name, share]) each.className = k === best ? "first" : "";
  });
}
