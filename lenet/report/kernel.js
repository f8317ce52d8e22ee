// Kernels: pictures of all, and one whose weights are painted, to see what the answer owes them.

// Purple for negative, orange for positive weights; white is 0. Of a snapshot where one is given; else
// as they are trained or painted.
function kernels(snapshot) {
  const box = document.getElementById("kernel-pictures");
  if (!box) return;
  box.className = "kernels";
  box.replaceChildren();
  const edge = colour("--edge");
  for (const { name, shape: [height, width, inputs, outputs], trained } of payload.kernels) {
    const kept = whole(snapshot?.kernels[name] ?? trained);
    const own = snapshot ? null : layers.find((each) => each.trained && alike(each.trained, kept));
    const kernel = own?.kernel ?? kept;
    const most = largest(kernel);
    const scale = inputs * height > 60 || outputs * width > 400 ? 4 : 10;
    const [down, across] = [height * scale + 4, width * scale + 4];
    const figure = add(box, "figure", {});
    const canvas = add(figure, "canvas", { width: outputs * across, height: inputs * down });
    canvas.setAttribute("role", "img");
    const words = { name, c: outputs, n: inputs, h: height, w: width };
    label(canvas, "kernels", words);
    add(figure, "figcaption", {}).append(...spans("kernels", words));
    const context = canvas.getContext("2d");
    for (let f = 0; f < outputs; f++)
      for (let c = 0; c < inputs; c++) {
        const weight = (i) => kernel[(i * inputs + c) * outputs + f];
        blit(context, f * across, c * down, height, width, scale, (i, part) => diverging(weight(i) / most)[part]);
        outline(context, f * across, c * down, across - 4, down - 4, edge);
      }
  }
}

// The weights of a kernel that is kept in 127ths of the largest.
const whole = ([most, packed]) => Array.from(new Int8Array(bytes(packed).buffer), (x) => (x * most) / 127);

// Whether weights are those that were kept, to rounding: a layer that takes up normalisation has others.
function alike(weights, kept) {
  const near = largest(kept) / 200;
  return weights.length === kept.length && kept.every((x, i) => Math.abs(x - weights[i]) <= near);
}

function diverging(x) {
  const end = x > 0 ? [179, 88, 6] : [84, 39, 136];
  const share = Math.min(Math.abs(x), 1);
  return end.map((e) => Math.round(247 + (e - 247) * share));
}

// Let a grid of weights be painted: the left button or + raises one, the right button or - lowers it,
// by a quarter of the largest of the layer. Arrows move. `place` is where a weight is in the kernel.
function paintable(figure, view, layer, place) {
  const grid = figure.querySelector("table"), cells = [...figure.querySelectorAll("td")];
  grid.tabIndex = 0;
  grid.setAttribute("role", "application");
  label(grid, "paint");
  const change = (i, sign) => {
    layer.trained ??= layer.kernel.slice();
    layer.kernel[place(i)] += (sign * largest(layer.trained)) / 4;
    nextFrame(view, "painted", () => painted(layer));
  };
  const under = (event) => {
    const i = cells.indexOf(event.target);
    if (!event.buttons || i < 0 || i === view.stroke) return; // the cell is made anew under the pointer
    view.stroke = view.weight = i;
    change(i, event.buttons === 2 ? -1 : 1);
  };
  grid.addEventListener("pointerdown", (event) => {
    view.stroke = null;
    under(event);
  });
  grid.addEventListener("pointerover", under);
  grid.addEventListener("contextmenu", (event) => event.preventDefault());
  const mark = () => cells.forEach((cell, i) => cell.classList.toggle("at", i === view.weight && grid.matches(":focus")));
  for (const event of ["focus", "blur"]) grid.addEventListener(event, mark);
  grid.addEventListener("keydown", (event) => {
    const step = STEPS[event.key], sign = { "+": 1, "=": 1, "-": -1 }[event.key];
    view.weight ??= 0;
    if (step) {
      const row = clamp(Math.floor(view.weight / layer.size) + step[0], layer.size);
      view.weight = row * layer.size + clamp((view.weight % layer.size) + step[1], layer.size);
      mark();
    } else if (sign) change(view.weight, sign);
    else return;
    event.preventDefault();
  });
}

// All that shows a layer whose weights have changed.
function painted(layer) {
  for (const each of views.filter((view) => view.layers.includes(layer))) each.compute();
  if (layers.includes(layer)) kernels();
}

// A button that brings the trained weights of a layer back.
function unpaint(head, layer) {
  if (!layer.trained) return;
  const button = add(head, "button", { type: "button" });
  button.append(...spans("unpaint"));
  button.addEventListener("click", () => {
    layer.kernel = layer.trained;
    delete layer.trained;
    painted(layer);
  });
}

const largest = (values) => values.reduce((most, x) => Math.max(most, Math.abs(x) || 0), 1e-12);
