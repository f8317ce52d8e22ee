// Kernels: pictures of all, and one whose weights are painted, to see what the answer owes them.

// Purple for negative, orange for positive weights; white is 0.
function kernels(layers) {
  const box = document.getElementById("kernel-pictures");
  box.className = "kernels";
  box.replaceChildren();
  const edge = colour("--edge");
  let inputs = payload.network.image_shape[2];
  for (const layer of layers.filter((each) => each.kind === "conv")) {
    const [k, outputs] = [layer.size, layer.shape[2]];
    const most = largest(layer.kernel);
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
        blit(context, f * apart, c * apart, k, k, scale, (i, part) => diverging(weight(i) / most)[part]);
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
  if (layers.includes(layer)) kernels(layers);
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

const largest = (values) => values.reduce((most, x) => Math.max(most, Math.abs(x)), 1e-12);
