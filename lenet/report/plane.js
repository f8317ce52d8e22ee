// The pictures of the page in a plane: each where the last hidden layer puts it. Each opens in the
// network.

const POINT = 20; // pixels of the side of a picture
const RING = "rgb(213, 94, 0)"; // around what is wrong, on a light page and a dark one

function plane(box, sheet) {
  const own = views.find((view) => view.own);
  const controls = add(box, "div", { className: "controls" });
  const select = add(controls, "select", {});
  label(select, "truth");
  worded(add(select, "option", { value: "" }), "any_truth");
  payload.class_names.en.forEach((_, k) => {
    const option = add(select, "option", { value: String(k) });
    labels.set(option, () => (option.textContent = className(k)(language()))).get(option)();
  });
  const canvas = add(box, "canvas", { tabIndex: 0, className: "plane" });
  canvas.setAttribute("role", "application");
  label(canvas, "plane");
  const readout = add(box, "p", { className: "readout" });
  readout.setAttribute("role", "status");
  let places = [], pointed = null;
  const shown = (at) => select.value === "" || shots[at].label === Number(select.value);
  const draw = () => {
    [canvas.width, canvas.height] = [box.clientWidth, Math.min(box.clientWidth, 560)];
    places = spread(payload.places, canvas.width, canvas.height);
    const context = canvas.getContext("2d");
    const order = [...places.keys()].sort((a, b) => shown(a) - shown(b) || (a === pointed) - (b === pointed));
    for (const at of order) picture(context, sheet, at, places[at], at === pointed ? 3 : 1, shown(at) ? 1 : 0.12);
  };
  const point = (at) => {
    pointed = at;
    readout.replaceChildren(...(at === null ? spans("plane_hint") : spans("tile", about(shots[at]))));
    draw();
  };
  const open = () => pointed !== null && own && openTile(own, sheet, pointed);
  const follow = ({ offsetX, offsetY }) => {
    const at = nearest(places, shown, ([x, y]) => Math.hypot(x - offsetX, y - offsetY), POINT);
    if (at !== pointed) point(at);
  };
  canvas.addEventListener("pointermove", follow);
  canvas.addEventListener("pointerdown", follow); // a tap does not move
  canvas.addEventListener("pointerleave", ({ pointerType }) => pointerType === "mouse" && point(null));
  canvas.addEventListener("click", open);
  canvas.addEventListener("keydown", (event) => {
    const step = STEPS[event.key];
    if (event.key === "Enter") open();
    else if (step) {
      const [x, y] = places[pointed ?? 0];
      const ahead = ([a, b]) => (a - x) * step[1] + (b - y) * step[0];
      const far = (place) => (ahead(place) > 0 ? ahead(place) + 3 * (Math.hypot(place[0] - x, place[1] - y) - ahead(place)) : Infinity);
      point(nearest(places, shown, far) ?? pointed);
    } else return;
    event.preventDefault();
  });
  select.addEventListener("change", draw);
  window.lenet.places = () => places;
  new ResizeObserver(() => requestAnimationFrame(draw)).observe(box);
  point(null);
}

// Places on a canvas, as wide and high as it is; y goes up.
function spread(points, width, height) {
  const ends = [0, 1].map((k) => [Math.min(...points.map((p) => p[k])), Math.max(...points.map((p) => p[k]))]);
  const share = (x, [low, high]) => (high > low ? (x - low) / (high - low) : 0.5);
  return points.map(([x, y]) => [
    POINT + share(x, ends[0]) * (width - 2 * POINT),
    height - POINT - share(y, ends[1]) * (height - 2 * POINT),
  ]);
}

// Of the places that are shown the one with the least distance, if that is below `most`.
function nearest(places, shown, distance, most = Infinity) {
  let found = null;
  places.forEach((place, at) => {
    if (!shown(at) || distance(place) >= most) return;
    [found, most] = [at, distance(place)];
  });
  return found;
}

function picture(context, sheet, at, [x, y], times, alpha) {
  const { height, width } = payload.sprite, { label: truth, predicted } = shots[at];
  const [wide, high] = [POINT * times, (POINT * times * height) / width];
  context.globalAlpha = alpha;
  context.imageSmoothingEnabled = times === 1;
  drawTile(context, sheet, at, x - wide / 2, y - high / 2, wide, high);
  if (truth === predicted) return;
  context.strokeStyle = RING;
  context.lineWidth = 2;
  context.strokeRect(x - wide / 2, y - high / 2, wide, high);
}
