// What can be done to an image: shift, turn, blur, add noise. Images are [H, W, C], from 0 to 255.

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

// Clockwise about the centre, between pixels by bilinear interpolation, with 0 around the image.
function rotated(image, [height, width, channels], degrees) {
  const [cos, sin] = [Math.cos((degrees * Math.PI) / 180), Math.sin((degrees * Math.PI) / 180)];
  const [middle, centre] = [(height - 1) / 2, (width - 1) / 2];
  const pixel = (y, x, c) => (y < 0 || x < 0 || y >= height || x >= width ? 0 : image[(y * width + x) * channels + c]);
  const made = new Float64Array(image.length);
  for (let i = 0; i < height; i++)
    for (let j = 0; j < width; j++) {
      const y = middle + cos * (i - middle) - sin * (j - centre);
      const x = centre + sin * (i - middle) + cos * (j - centre);
      const [top, left] = [Math.floor(y), Math.floor(x)], [v, u] = [y - top, x - left];
      for (let c = 0; c < channels; c++)
        made[(i * width + j) * channels + c] =
          (1 - v) * ((1 - u) * pixel(top, left, c) + u * pixel(top, left + 1, c)) +
          v * ((1 - u) * pixel(top + 1, left, c) + u * pixel(top + 1, left + 1, c));
    }
  return made;
}

// By (1, 2, 1) / 4 along each axis, with 0 around the image.
function blurred(image, shape) {
  const along = (each, down, right) => {
    const [before, after] = [shifted(each, shape, down, right), shifted(each, shape, -down, -right)];
    return each.map((x, i) => (before[i] + 2 * x + after[i]) / 4);
  };
  return along(along(image, 1, 0), 0, 1);
}

// Gaussian, of a standard deviation of a tenth of the range, cut to the range.
function noisy(image) {
  const normal = () => Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
  return image.map((x) => Math.min(Math.max(x + 25.5 * normal(), 0), 255));
}
