// Why the network gives an answer: which pixels raise the logit of a class, and which lower it.

const SLOPES = { // of an activation, from what it gives
  sigmoid: (y) => y * (1 - y),
  relu: (y) => (y > 0 ? 1 : 0),
  tanh: (y) => 1 - y * y,
  none: () => 1,
};
const PATCH = 5; // pixels of the side that occlusion covers
const SLICE = 12; // milliseconds of computing between two frames

// The gradient of a logit by each value of an image of numbers from 0 to 1, [H, W, C].
function gradient(layers, shape, image, logit, off = []) {
  const outputs = forward(layers, shape, image, off);
  let after = Float64Array.from(outputs.at(-1).values, (_, k) => (k === logit ? 1 : 0));
  for (let at = layers.length - 1; at >= 0; at--) {
    const layer = layers[at];
    const input = at > 0 ? outputs[at - 1] : { shape, values: image };
    const slope = SLOPES[layer.activation ?? "none"];
    silence(after, layer, at, off);
    after = after.map((d, i) => d * slope(outputs[at].values[i]));
    const back = { conv: convolveBack, pool: poolBack, dense: denseBack, scaling: scalingBack }[layer.kind];
    after = back(layer, input, after, outputs[at]);
  }
  return after;
}

function denseBack(layer, input, after) {
  return input.values.map((_, i) => {
    let sum = 0;
    for (let f = 0; f < after.length; f++) sum += after[f] * layer.kernel[i * after.length + f];
    return sum;
  });
}

const scalingBack = (layer, input, after) => after.map((d, i) => d * layer.kernel[i % layer.bias.length]);

function poolBack(layer, input, after, output) {
  const [height, width, channels] = layer.shape, [rows, columns] = input.shape;
  const before = new Float64Array(input.values.length);
  for (let i = 0; i < height; i++)
    for (let j = 0; j < width; j++)
      for (let c = 0; c < channels; c++) {
        const from = (i * width + j) * channels + c;
        window: for (let a = 0; a < layer.size; a++)
          for (let b = 0; b < layer.size; b++) {
            const y = i * layer.stride + a - layer.padding, x = j * layer.stride + b - layer.padding;
            if (y < 0 || x < 0 || y >= rows || x >= columns) continue;
            const to = (y * columns + x) * channels + c;
            if (layer.mode !== "max") before[to] += after[from] / layer.size ** 2;
            else if (input.values[to] === output.values[from]) {
              before[to] += after[from];
              break window; // of equal ones the first
            }
          }
      }
  return before;
}

function convolveBack(layer, input, after) {
  const [height, width, features] = layer.shape, [rows, columns, channels] = input.shape;
  const before = new Float64Array(input.values.length);
  for (let i = 0; i < height; i++)
    for (let j = 0; j < width; j++)
      for (let a = 0; a < layer.size; a++)
        for (let b = 0; b < layer.size; b++) {
          const y = i * layer.stride + a - layer.padding, x = j * layer.stride + b - layer.padding;
          if (y < 0 || x < 0 || y >= rows || x >= columns) continue;
          for (let c = 0; c < channels; c++) {
            const kernel = ((a * layer.size + b) * channels + c) * features;
            let sum = 0;
            for (let f = 0; f < features; f++) sum += after[(i * width + j) * features + f] * layer.kernel[kernel + f];
            before[(y * columns + x) * channels + c] += sum;
          }
        }
  return before;
}

// How much a logit falls when a patch around each pixel is black, [H, W]. It computes in slices, so
// that the page answers meanwhile, and gives up, with null, once `wanted()` is false.
async function occlusion(layers, shape, image, logit, off = [], wanted = () => true) {
  const [height, width, channels] = shape, reach = (PATCH - 1) / 2;
  const value = (each) => forward(layers, shape, each, off).at(-1).values[logit];
  const whole = value(image), found = new Float64Array(height * width);
  let begin = performance.now();
  for (let i = 0; i < height; i++)
    for (let j = 0; j < width; j++) {
      const hidden = image.slice();
      for (let y = Math.max(i - reach, 0); y <= Math.min(i + reach, height - 1); y++)
        hidden.fill(0, (y * width + Math.max(j - reach, 0)) * channels, (y * width + Math.min(j + reach, width - 1) + 1) * channels);
      found[i * width + j] = whole - value(hidden);
      if (performance.now() - begin < SLICE) continue;
      await new Promise(requestAnimationFrame);
      if (!wanted()) return null;
      begin = performance.now();
    }
  return found;
}

// The choice of an explanation beside an image. What is found is `view.heat`, a number for each
// pixel, until the image changes.
function explaining(view, network, layers, controls) {
  const select = add(controls, "select", {});
  label(select, "why");
  for (const kind of ["why", "occlusion", "gradient"]) worded(add(select, "option", { value: kind }), kind);
  const shape = network.image_shape, [height, width, channels] = shape;
  const perPixel = (values) =>
    Float64Array.from({ length: height * width }, (_, i) => values.slice(i * channels, (i + 1) * channels).reduce((a, b) => a + b));
  view.explain = async () => {
    const asked = (view.asked = {}); // a later question makes this one idle
    const kind = select.value, image = view.image.map((x) => x / 255);
    if (kind === "why") return;
    const logits = view.outputs.at(-1).values, best = logits.indexOf(Math.max(...logits));
    const found =
      kind === "gradient"
        ? perPixel(gradient(layers, shape, image, best, view.off))
        : await occlusion(layers, shape, image, best, view.off, () => view.asked === asked);
    if (!found || view.asked !== asked) return;
    view.heat = found;
    const said = { gradient: "gradient_said", occlusion: "occlusion_said" };
    view.note(said[kind], { name: className(best) }, true);
    view.draw();
  };
  select.addEventListener("change", () => {
    view.note();
    view.compute();
  });
}
