// One unit taken apart: window × kernel, the sum, the bias, the activation. And channels that are
// switched off, to see what the answer owes them.

const MOST_TERMS = 6; // of a dense unit

// What a unit of a layer is made of, from what the layer before gives, `input`: its window and, of a
// layer that has one, its kernel, products and bias. Of a convolution for one channel of the input.
function terms(layer, input, { row, column, channel }, from = 0) {
  const [rows, columns, channels] = input.shape;
  if (layer.kind === "dense") {
    const kernel = Array.from(input.values, (_, i) => layer.kernel[i * layer.bias.length + channel]);
    return { window: [...input.values], kernel, products: kernel.map((w, i) => w * input.values[i]), bias: layer.bias[channel] };
  }
  if (layer.kind === "scaling") {
    const x = input.values[(row * columns + column) * channels + channel], weight = layer.kernel[channel];
    return { window: [x], kernel: [weight], products: [weight * x], bias: layer.bias[channel] };
  }
  const source = layer.kind === "pool" ? channel : from;
  const outside = layer.mode === "max" ? NaN : 0;
  const places = Array.from({ length: layer.size ** 2 }, (_, i) => [Math.floor(i / layer.size), i % layer.size]);
  const window = places.map(([a, b]) => {
    const y = row * layer.stride - layer.padding + a, x = column * layer.stride - layer.padding + b;
    return y < 0 || x < 0 || y >= rows || x >= columns ? outside : input.values[(y * columns + x) * channels + source];
  });
  if (layer.kind === "pool") return { window };
  const kernel = places.map(([a, b]) => layer.kernel[((a * layer.size + b) * channels + source) * layer.shape[2] + channel]);
  return { window, kernel, products: kernel.map((w, i) => w * window[i]), bias: layer.bias[channel] };
}

// Look at a unit, at another one, or at none; the same again is none.
function lookAt(view, layers, unit) {
  view.loupe = JSON.stringify(unit) === JSON.stringify(view.loupe) ? null : unit;
  view.from = undefined;
  takeApart(view, layers);
}

// Show the unit under the loupe, on a card below its layer, or above it where there is no room: what
// is pointed at does not move.
function takeApart(view, layers) {
  const box = (view.apart ??= add(view.maps, "div", { className: "apart" }));
  box.hidden = !view.loupe;
  if (!view.loupe) return;
  fillCard(view, layers, box);
  const figure = view.canvases[view.loupe.layer].parentElement, { top, bottom } = figure.getBoundingClientRect();
  const above = bottom + box.offsetHeight > root.clientHeight && top - box.offsetHeight > 0;
  const place = above ? figure.offsetTop - box.offsetHeight - 4 : figure.offsetTop + figure.offsetHeight + 4;
  box.style.top = `${place}px`;
}

function fillCard(view, layers, box) {
  const { layer: at, row, column, channel } = view.loupe;
  const layer = layers[at], shape = payload.network.image_shape;
  const input = at > 0 ? view.outputs[at - 1] : { shape, values: view.image.map((x) => x / 255) };
  const last = at === layers.length - 1;
  const painting = box.querySelector("table[role]:focus");
  box.replaceChildren();
  const head = add(box, "p", { className: "head" });
  const where = layer.kind === "dense" ? "apart_flat" : "apart";
  add(head, "strong", {}).append(...spans(where, { name: layer.name, channel: last ? className(channel) : channel, row, column }));
  switches(view, head, at, channel);
  unpaint(head, layer);
  const close = add(head, "button", { type: "button", textContent: "×", className: "close" });
  label(close, "close");
  close.addEventListener("click", () => lookAt(view, layers, null));
  if (view.off.some(isChannel(at, channel))) {
    add(box, "p", { className: "result" }).append(...spans("switched_off"));
    return;
  }
  const value = view.outputs[at].values[(row * layer.shape[1] + column) * layer.shape[2] + channel];
  if (layer.kind === "pool") {
    const { window } = terms(layer, input, view.loupe);
    add(box, "div", { className: "grids" }).append(grid("window", window, layer.size));
    add(box, "p", {}).append(...spans(layer.mode === "max" ? "largest" : "mean", { value: short(value) }));
    return;
  }
  if (layer.kind === "dense") return denseTerms(box, layer, input, view.loupe, value);
  if (layer.kind === "scaling") {
    const { window, kernel, products, bias } = terms(layer, input, view.loupe);
    add(box, "p", { className: "terms", textContent: `${short(window[0])} × ${short(kernel[0])} = ${short(products[0])}` });
    return result(box, layer, products[0], bias, value);
  }
  const sums = Array.from({ length: input.shape[2] }, (_, c) => total(terms(layer, input, view.loupe, c).products));
  view.from = Math.min(view.from ?? loudest(sums), sums.length - 1);
  if (sums.length > 1) {
    const select = add(add(box, "p", {}), "select", {});
    label(select, "from");
    sums.forEach((sum, c) => worded(add(select, "option", { value: String(c) }), "from_sum", { channel: c, sum: short(sum) }));
    select.value = String(view.from);
    select.addEventListener("change", () => {
      view.from = Number(select.value);
      takeApart(view, layers);
    });
  }
  const { window, kernel, products, bias } = terms(layer, input, view.loupe, view.from);
  const grids = add(box, "div", { className: "grids" });
  const weights = grid("kernel", kernel, layer.size);
  grids.append(grid("window", window, layer.size), "×", weights, "=", grid("products", products, layer.size));
  paintable(weights, view, layer, (i) => (i * input.shape[2] + view.from) * layer.shape[2] + channel);
  if (painting) weights.querySelector("table").focus({ preventScroll: true });
  result(box, layer, total(sums), bias, value);
}

// The largest products of a dense unit, and the sum of the others.
function denseTerms(box, layer, input, unit, value) {
  const { window, kernel, products, bias } = terms(layer, input, unit);
  const order = [...products.keys()].sort((a, b) => Math.abs(products[b]) - Math.abs(products[a]));
  const shown = order.slice(0, MOST_TERMS), others = order.slice(MOST_TERMS);
  const list = add(box, "p", { className: "terms" });
  for (const i of shown) add(list, "span", { textContent: `${short(window[i])} × ${short(kernel[i])} = ${short(products[i])}` });
  if (others.length) add(list, "span", {}).append(...spans("others", { n: others.length, sum: short(total(others.map((i) => products[i]))) }));
  result(box, layer, total(products), bias, value);
}

function result(box, layer, sum, bias, value) {
  const key = layer.activation === "none" ? "sum" : "sum_activated";
  const words = { sum: short(sum), bias: short(bias), before: short(sum + bias), activation: layer.activation, value: short(value) };
  add(box, "p", { className: "result" }).append(...spans(key, words));
}

const total = (values) => values.reduce((a, b) => a + b, 0);
const loudest = (values) => values.reduce((best, x, i) => (Math.abs(x) > Math.abs(values[best]) ? i : best), 0);
const short = (x) => String(Number(x.toPrecision(3))).replace("-", "\u2212");

// Numbers in a square, purple below 0 and orange above.
function grid(key, values, size) {
  const figure = document.createElement("figure");
  add(figure, "figcaption", {}).append(...spans(key));
  const body = add(add(figure, "table", {}), "tbody", {});
  const most = largest(values);
  values.forEach((x, i) => {
    const line = i % size ? body.lastElementChild : add(body, "tr", {});
    const cell = add(line, "td", { textContent: Number.isNaN(x) ? "" : short(Number(x.toPrecision(2))) });
    if (!Number.isNaN(x)) cell.style.background = `rgb(${diverging(x / most).join()})`;
  });
  return figure;
}

// Whether one that is off is this channel.
const isChannel = (at, channel) => (each) => each.layer === at && each.channel === channel;

// A button that switches the channel off or on.
function switches(view, head, at, channel) {
  const is = isChannel(at, channel);
  const [off, on] = view.layers[at].kind === "dense" ? ["unit_off", "unit_on"] : ["channel_off", "channel_on"];
  if (view.off.some(is)) switching(view, head, on, view.off.filter((each) => !is(each)));
  else switching(view, head, off, [...view.off, { layer: at, channel }]);
}

function switching(view, box, key, off, values = {}) {
  const made = add(box, "button", { type: "button" });
  made.append(...spans(key, values));
  made.addEventListener("click", () => {
    view.off = off;
    view.compute();
    if (made.isConnected) return;
    // Else the focus were lost; a closed card is hidden, its buttons still there.
    const again = (view.loupe && view.apart.querySelector("button")) || view.canvases[0];
    again.focus({ preventScroll: true });
  });
}

// Beside the answer, as long as it is that of a network without some channels.
function allOn(view, box) {
  if (view.off.length) switching(view, box, "all_on", [], { n: view.off.length });
}
