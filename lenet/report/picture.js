// A picture from a file as an image of the network, as `lenet.pictures` makes it with Pillow.

const MOST_PIXELS = 50e6;

// Grey, on black: {values: numbers from 0 to 255, height, width}.
async function greyOfFile(file) {
  if (!isStill(new Uint8Array(await file.arrayBuffer()))) throw new Error("kind");
  const bitmap = await createImageBitmap(file, { colorSpaceConversion: "none" });
  if (bitmap.width * bitmap.height > MOST_PIXELS) throw new Error("size");
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "black";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(bitmap, 0, 0);
  const rgba = context.getImageData(0, 0, canvas.width, canvas.height).data;
  const values = new Float64Array(rgba.length / 4);
  for (let i = 0; i < values.length; i++) // Rec. 601, in Pillow's whole numbers
    values[i] = (rgba[4 * i] * 19595 + rgba[4 * i + 1] * 38470 + rgba[4 * i + 2] * 7471 + 32768) >> 16;
  return { values, height: canvas.height, width: canvas.width };
}

// Fitted with its proportions kept, and centred on black.
function fit(grey, height, width) {
  let [h, w] = [height, width];
  if (grey.width / grey.height > width / height) h = roundEven((grey.height / grey.width) * width);
  else w = roundEven((grey.width / grey.height) * height);
  const small = resize(grey, Math.max(h, 1), Math.max(w, 1));
  const values = new Float64Array(height * width);
  const top = roundEven((height - small.height) / 2), left = roundEven((width - small.width) / 2);
  for (let i = 0; i < small.height; i++)
    for (let j = 0; j < small.width; j++)
      values[(top + i) * width + left + j] = small.values[i * small.width + j];
  return values;
}

function roundEven(x) {
  const down = Math.floor(x);
  if (x - down !== 0.5) return Math.round(x);
  return down % 2 === 0 ? down : down + 1;
}

// Lanczos, across and then down, whole grey levels in between.
function resize(image, height, width) {
  if (image.height === height && image.width === width) return image;
  const across = weights(image.width, width), down = weights(image.height, height);
  const narrow = new Float64Array(image.height * width);
  for (let i = 0; i < image.height; i++)
    for (let j = 0; j < width; j++)
      narrow[i * width + j] = level(across[j], (k) => image.values[i * image.width + k]);
  const values = new Float64Array(height * width);
  for (let i = 0; i < height; i++)
    for (let j = 0; j < width; j++)
      values[i * width + j] = level(down[i], (k) => narrow[k * width + j]);
  return { values, height, width };
}

function level({ first, shares }, value) {
  let sum = 0;
  shares.forEach((share, k) => (sum += share * value(first + k)));
  return Math.min(Math.max(Math.round(sum), 0), 255);
}

function weights(from, to) {
  const scale = from / to, wide = Math.max(scale, 1), support = 3 * wide;
  const sinc = (x) => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));
  return Array.from({ length: to }, (_, i) => {
    const centre = (i + 0.5) * scale;
    const first = Math.max(Math.trunc(centre - support + 0.5), 0);
    const end = Math.min(Math.trunc(centre + support + 0.5), from);
    const raw = Array.from({ length: end - first }, (_, k) => {
      const x = (first + k - centre + 0.5) / wide;
      return Math.abs(x) < 3 ? sinc(x) * sinc(x / 3) : 0;
    });
    const sum = raw.reduce((a, b) => a + b, 0);
    return { first, shares: raw.map((x) => x / sum) };
  });
}

// Whether it is a JPEG, or a PNG that does not move.
function isStill(content) {
  const begins = (...signature) => signature.every((x, i) => content[i] === x);
  if (begins(0xff, 0xd8, 0xff)) return true;
  if (!begins(0x89, 0x50, 0x4e, 0x47)) return false;
  const view = new DataView(content.buffer);
  for (let at = 8; at + 8 <= content.length; at += 12 + view.getUint32(at)) {
    const kind = String.fromCharCode(...content.subarray(at + 4, at + 8));
    if (kind === "acTL") return false;
    if (kind === "IDAT") return true; // the control of an animation stands before the pixels
  }
  return false;
}
