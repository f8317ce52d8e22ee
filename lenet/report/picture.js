// A picture from a file as an image of the network, as `lenet.data.pictures` makes it with Pillow:
// the same steps within the same limits.

const LIMITS = { bytes: 64e6, pixels: 50e6 };
const ENOUGH = 1e6; // larger pictures are averaged over squares to at most about this many pixels
const TILE = 1024;
const FAINT = 16; // a picture that spans fewer grey levels is as good as constant
const LIGHT = 200; // what the median of the edges of a picture on light paper is at least
class TooLarge extends Error {}

// [As it is, inverted], each {values: height × width numbers from 0 to 255, contrast, light: whether
// its edges are, before inverting}. Transparency is black; before inverting it is paper.
async function picturesOf(file, height, width) {
  if (file.size > LIMITS.bytes) throw new TooLarge();
  const found = essence(new Uint8Array(await file.arrayBuffer()));
  if (found.height * found.width > LIMITS.pixels) throw new TooLarge();
  const bitmap = await createImageBitmap(new Blob(found.parts), { colorSpaceConversion: "none" });
  return [false, true].map((invert) => {
    const [within, factor] = [found.orientation >= 5 ? [width, height] : [height, width], reduction(bitmap)];
    const large = greyOf(bitmap, factor, invert);
    const small = resize(large, ...fitted(bitmap, ...within), bitmap.height / factor, bitmap.width / factor);
    const levels = new Set(small.values);
    const values = centred(turned(small, found.orientation), height, width);
    return { values, contrast: Math.max(...levels) - Math.min(...levels), light: onLight(large, invert) };
  });
}

const reduction = ({ height, width }) => Math.ceil(Math.sqrt((height * width) / ENOUGH));

// Grey on its background, inverted or not, averaged over squares: {values, height, width}.
function greyOf(bitmap, factor, invert) {
  const height = Math.ceil(bitmap.height / factor), width = Math.ceil(bitmap.width / factor);
  const sums = new Float64Array(height * width), counts = new Float64Array(height * width);
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d", { willReadFrequently: true });
  for (let top = 0; top < bitmap.height; top += TILE)
    for (let left = 0; left < bitmap.width; left += TILE) {
      canvas.height = Math.min(TILE, bitmap.height - top);
      canvas.width = Math.min(TILE, bitmap.width - left);
      context.fillStyle = invert ? "white" : "black";
      context.fillRect(0, 0, canvas.width, canvas.height);
      context.drawImage(bitmap, -left, -top);
      const rgba = context.getImageData(0, 0, canvas.width, canvas.height).data;
      for (let i = 0, at = 0; i < canvas.height; i++)
        for (let j = 0; j < canvas.width; j++, at += 4) {
          // Rec. 601, in Pillow's whole numbers
          const level = (rgba[at] * 19595 + rgba[at + 1] * 38470 + rgba[at + 2] * 7471 + 32768) >> 16;
          const to = Math.floor((top + i) / factor) * width + Math.floor((left + j) / factor);
          sums[to] += invert ? 255 - level : level;
          counts[to] += 1;
        }
    }
  return { values: sums.map((sum, i) => Math.round(sum / counts[i])), height, width };
}

function onLight({ values, height, width }, invert) {
  const edges = values.filter((_, at) => {
    const [row, column] = [Math.floor(at / width), at % width];
    return row === 0 || column === 0 || row === height - 1 || column === width - 1;
  });
  edges.sort((a, b) => a - b);
  const median = (edges[(edges.length - 1) >> 1] + edges[edges.length >> 1]) / 2;
  return (invert ? 255 - median : median) >= LIGHT;
}

// The largest [height, width] of the same proportions; no side vanishes.
function fitted(size, height, width) {
  const ratio = size.width / size.height;
  if (ratio > width / height) return [Math.max(roundEven((size.height / size.width) * width), 1), width];
  return [height, Math.max(roundEven(ratio * height), 1)];
}

// Upright, by the EXIF orientation.
function turned(image, orientation) {
  const aside = orientation >= 5;
  const [height, width] = aside ? [image.width, image.height] : [image.height, image.width];
  const values = new Float64Array(height * width);
  for (let i = 0; i < height; i++)
    for (let j = 0; j < width; j++) {
      let [y, x] = aside ? [j, i] : [i, j];
      if ([3, 4, 6, 7].includes(orientation)) y = image.height - 1 - y;
      if ([2, 3, 7, 8].includes(orientation)) x = image.width - 1 - x;
      values[i * width + j] = image.values[y * image.width + x];
    }
  return { values, height, width };
}

function centred(small, height, width) {
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

// Lanczos, across and then down, whole grey levels in between. The picture ends at `bottom` and
// `right`, within its last pixels, perhaps.
function resize(image, height, width, bottom, right) {
  const across = weights(image.width, width, right), down = weights(image.height, height, bottom);
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

function weights(from, to, end) {
  const scale = end / to, wide = Math.max(scale, 1), support = 3 * wide;
  const sinc = (x) => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));
  return Array.from({ length: to }, (_, i) => {
    const centre = (i + 0.5) * scale;
    const first = Math.max(Math.trunc(centre - support + 0.5), 0);
    const last = Math.min(Math.trunc(centre + support + 0.5), from);
    const raw = Array.from({ length: last - first }, (_, k) => {
      const x = (first + k - centre + 0.5) / wide;
      return Math.abs(x) < 3 ? sinc(x) * sinc(x / 3) : 0;
    });
    const sum = raw.reduce((a, b) => a + b, 0);
    return { first, shares: raw.map((x) => x / sum) };
  });
}

// A file without what its pixels do not need: {parts, orientation, height, width}. Chunks and
// segments that only describe a picture can be damaged, large, or turn it in the browser's own way.
function essence(content) {
  const begins = (...signature) => signature.every((x, i) => content[i] === x);
  if (begins(0xff, 0xd8, 0xff)) return essenceOfJPEG(content);
  if (begins(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)) return essenceOfPNG(content);
  throw new Error("neither PNG nor JPEG");
}

const letters = (content, from, to) => String.fromCharCode(...content.subarray(from, to));

// Critical chunks and the transparency.
function essenceOfPNG(content) {
  const view = new DataView(content.buffer);
  const found = { parts: [content.subarray(0, 8)], orientation: 1, height: view.getUint32(20), width: view.getUint32(16) };
  let still = false; // what announces an animation stands before the pixels
  for (let at = 8, next; at + 8 <= content.length; at = next) {
    const kind = letters(content, at + 4, at + 8);
    next = at + 12 + view.getUint32(at);
    if (kind === "acTL" && !still && view.getUint32(at + 8) > 1) throw new Error("animated");
    still ||= kind === "IDAT";
    if (kind === "eXIf") found.orientation = orientationOf(content.subarray(at + 8, next - 4));
    else if (kind === "tRNS" || !(content[at + 4] & 0x20)) found.parts.push(content.subarray(at, next));
    if (kind === "IEND") break;
  }
  return found;
}

// All segments but comments and those of applications; of these the two that say what the colours are.
function essenceOfJPEG(content) {
  const view = new DataView(content.buffer);
  const found = { parts: [content.subarray(0, 2)], orientation: 1, height: 0, width: 0 };
  let at = 2;
  while (at + 4 <= content.length) {
    const marker = content[at + 1], length = view.getUint16(at + 2);
    if (content[at] !== 0xff || [0x00, 0x01, 0xff].includes(marker) || (marker >= 0xd0 && marker <= 0xd8)) {
      at += 1; // filling
      continue;
    }
    if (marker === 0xda || length < 2) break; // the pixels, or damage
    const next = at + 2 + length;
    if (marker === 0xe1 && letters(content, at + 4, at + 10) === "Exif\0\0")
      found.orientation = orientationOf(content.subarray(at + 10, next));
    if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker))
      [found.height, found.width] = [view.getUint16(at + 5), view.getUint16(at + 7)];
    if ([0xe0, 0xee].includes(marker) || !((marker >= 0xe0 && marker <= 0xef) || marker === 0xfe))
      found.parts.push(content.subarray(at, next));
    at = next;
  }
  found.parts.push(content.subarray(at));
  return found;
}

// The orientation, 1 to 8, that a block of EXIF states; 1 if it is broken.
function orientationOf(exif) {
  const view = new DataView(exif.buffer, exif.byteOffset, exif.length);
  const little = letters(exif, 0, 2) !== "MM";
  try {
    const first = view.getUint32(4, little) + 2;
    const end = first + 12 * view.getUint16(first - 2, little);
    for (let entry = first; entry < end; entry += 12)
      if (view.getUint16(entry, little) === 0x0112) {
        const value = view.getUint16(entry + 8, little);
        return value >= 1 && value <= 8 ? value : 1;
      }
  } catch {
    // an offset points outside
  }
  return 1;
}
