// The trained network, computed as `lenet.model` does: images and maps are [H, W, C], row by row.

const ACTIVATIONS = {
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  relu: (x) => Math.max(x, 0),
  tanh: Math.tanh,
  none: (x) => x,
};

function bytes(base64) {
  // Browsers before 2025 have no decoder of bytes.
  return Uint8Array.fromBase64?.(base64) ?? Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
}

function floats(base64) {
  const view = new DataView(bytes(base64).buffer), found = new Float64Array(view.byteLength / 4);
  for (let i = 0; i < found.length; i++) found[i] = view.getFloat32(4 * i, true);
  return found;
}

// Layers with their parameters as numbers; kernels stay [kh, kw, Cin, Cout] and [in, out].
function unpack(network) {
  return network.layers.map((layer) =>
    layer.kernel ? { ...layer, kernel: floats(layer.kernel), bias: floats(layer.bias) } : layer,
  );
}

// What every layer gives for an image of numbers from 0 to 1: [{name, kind, shape, values}]. Channels
// that are switched off, [{layer, channel}], give 0.
function forward(layers, shape, image, off = []) {
  let input = { shape, values: image };
  return layers.map((layer, at) => {
    const values = { conv: convolve, pool, dense, scaling }[layer.kind](layer, input);
    silence(values, layer, at, off);
    input = { ...layer, values };
    return input;
  });
}

function silence(values, layer, at, off) {
  for (const { channel } of off.filter((each) => each.layer === at))
    for (let i = channel; i < values.length; i += layer.shape[2]) values[i] = 0;
}

function convolve(layer, input) {
  const [height, width, features] = layer.shape;
  const [rows, columns, channels] = input.shape;
  const activation = ACTIVATIONS[layer.activation];
  const values = new Float64Array(height * width * features);
  for (let i = 0; i < height; i++)
    for (let j = 0; j < width; j++) {
      const sums = Float64Array.from(layer.bias);
      for (let a = 0; a < layer.size; a++)
        for (let b = 0; b < layer.size; b++) {
          const y = i * layer.stride + a - layer.padding, x = j * layer.stride + b - layer.padding;
          if (y < 0 || x < 0 || y >= rows || x >= columns) continue;
          for (let c = 0; c < channels; c++) {
            const pixel = input.values[(y * columns + x) * channels + c];
            const at = ((a * layer.size + b) * channels + c) * features;
            for (let f = 0; f < features; f++) sums[f] += pixel * layer.kernel[at + f];
          }
        }
      for (let f = 0; f < features; f++)
        values[(i * width + j) * features + f] = activation(sums[f]);
    }
  return values;
}

function pool(layer, input) {
  const [height, width, channels] = layer.shape;
  const [rows, columns] = input.shape;
  const values = new Float64Array(height * width * channels);
  for (let i = 0; i < height; i++)
    for (let j = 0; j < width; j++)
      for (let c = 0; c < channels; c++) {
        let sum = 0, most = -Infinity;
        for (let a = 0; a < layer.size; a++)
          for (let b = 0; b < layer.size; b++) {
            const y = i * layer.stride + a - layer.padding, x = j * layer.stride + b - layer.padding;
            if (y < 0 || x < 0 || y >= rows || x >= columns) continue; // it counts as 0 in an average
            const value = input.values[(y * columns + x) * channels + c];
            sum += value;
            most = Math.max(most, value);
          }
        values[(i * width + j) * channels + c] = layer.mode === "max" ? most : sum / layer.size ** 2;
      }
  return values;
}

function dense(layer, input) {
  const features = layer.bias.length;
  const values = Float64Array.from(layer.bias);
  input.values.forEach((value, i) => {
    for (let f = 0; f < features; f++) values[f] += value * layer.kernel[i * features + f];
  });
  return values.map(ACTIVATIONS[layer.activation]);
}

// A product and a sum for each channel.
function scaling(layer, input) {
  const channels = layer.bias.length, activation = ACTIVATIONS[layer.activation];
  return input.values.map((x, i) => activation(x * layer.kernel[i % channels] + layer.bias[i % channels]));
}

function softmax(logits) {
  const most = Math.max(...logits);
  const powers = Array.from(logits, (x) => Math.exp(x - most));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((x) => x / sum);
}

// What a unit of layer `index` comes from: the window in every layer before it and in the image,
// outermost first as {top, left, bottom, right} without bounds on the padding.
function windows(layers, index, row, column) {
  let seen = { top: row, left: column, bottom: row, right: column };
  const found = [];
  for (let at = index; at >= 0; at--) {
    const layer = layers[at];
    const before = at > 0 ? layers[at - 1].shape : null;
    if (layer.kind === "dense") {
      seen = before
        ? { top: 0, left: 0, bottom: before[0] - 1, right: before[1] - 1 }
        : { top: 0, left: 0, bottom: Infinity, right: Infinity };
    } else {
      seen = {
        top: seen.top * layer.stride - layer.padding,
        left: seen.left * layer.stride - layer.padding,
        bottom: seen.bottom * layer.stride - layer.padding + layer.size - 1,
        right: seen.right * layer.stride - layer.padding + layer.size - 1,
      };
    }
    found.unshift(seen);
  }
  return found; // found[k] lies in what layer k takes; found[0] in the image
}
