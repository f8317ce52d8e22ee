// The run epoch by epoch: sliders move kernels, confusion matrix, the answers to some images, and a
// rule in the charts, all together. What moves was kept after each epoch, weights as whole numbers.

let shownEpoch = 0, latest = 0; // the epoch that is shown, and the last that there is

function timeline() {
  const all = payload.snapshots ?? [];
  const keeps = all.length > 1 && Object.keys(all[0].kernels).length > 0; // those of a large network are not kept
  if (!keeps) kernels();
  if (all.length < 2) return;
  const held = shownEpoch < latest; // a visitor looks back while the page grows
  latest = all.at(-1).epoch;
  const sliders = [...document.querySelectorAll("[data-epochs]")].map((box) => slider(box, all, show));
  const box = document.querySelector("[data-answers]");
  const answer = answers(box, all);
  function show(epoch) {
    shownEpoch = epoch;
    const at = all.find((each) => each.epoch === epoch);
    for (const told of sliders) told();
    answer(at);
    if (keeps) kernels(epoch === latest ? null : at);
    matrixAt(at);
    for (const { view, byEpoch } of charts.values()) if (byEpoch) view.signal("shownEpoch", ruleAt()).runAsync();
  }
  labels.set(box, () => answer(all.find((each) => each.epoch === shownEpoch)));
  show(held ? shownEpoch : latest);
}

// A slider over the epochs of all snapshots; returns what tells it that the epoch has changed.
function slider(box, all, show) {
  const input = box.querySelector("input") ?? add(box, "input", { type: "range", min: 0, step: 1 });
  const output = box.querySelector("output") ?? add(box, "output", {});
  label(input, "epoch_slider");
  if (!box.closest("#time")) input.tabIndex = -1; // one of them is enough
  input.max = String(all.length - 1);
  input.oninput = () => show(all[Number(input.value)].epoch);
  return () => {
    input.value = String(all.findIndex((each) => each.epoch === shownEpoch));
    output.replaceChildren(...spans(shownEpoch ? "after_epoch" : "before_training", { n: shownEpoch }));
  };
}

// Pictures of the images that were asked after each epoch; returns what puts the answers below.
function answers(box, all) {
  const samples = new Map((payload.network?.samples ?? []).map((sample) => [sample.index, sample]));
  const [height, width, channels] = payload.network?.image_shape ?? [];
  const shown = [...all[0].images.entries()].filter(([, index]) => samples.has(index));
  box.className = "gallery answers";
  box.replaceChildren();
  const captions = shown.map(([, index]) => {
    const figure = add(box, "figure", {});
    const canvas = add(figure, "canvas", { width, height });
    const { label: truth, pixels } = samples.get(index), values = bytes(pixels);
    canvas.setAttribute("role", "img");
    label(canvas, "sample", { name: className(truth), index });
    blit(canvas.getContext("2d"), 0, 0, height, width, 1, (i, k) => values[i * channels + Math.min(k, channels - 1)]);
    return add(figure, "figcaption", {});
  });
  return (at) => {
    const shares = bytes(at.answers), classes = shares.length / at.images.length;
    shown.forEach(([row, index], i) => {
      const own = shares.slice(row * classes, (row + 1) * classes), best = own.indexOf(Math.max(...own));
      captions[i].textContent = `${className(best)(language())} ${Math.round((100 * own[best]) / 255)}%`;
      captions[i].classList.toggle("wrong", best !== samples.get(index).label);
    });
  };
}

// The counts of the confusion matrix of an epoch, recall and precision; unknown before training.
function matrixAt({ confusion }) {
  const cells = [...document.querySelectorAll("button[data-total]")];
  for (const cell of cells) {
    const [truth, taken] = cell.dataset.cell.split(",");
    const count = confusion?.[truth]?.[taken];
    cell.textContent = count || "·";
    cell.dataset.count = count ?? 0;
  }
  shade(cells);
  for (const cell of document.querySelectorAll("[data-margin]")) {
    const [what, k] = cell.dataset.margin.split(",");
    const all = what === "recall" ? confusion?.[k] : confusion?.map((row) => row[k]), sum = total(all ?? []);
    cell.textContent = sum ? `${Math.round((100 * all[k]) / sum)}%` : "–";
  }
}

// Where charts over epochs have a rule: at the one that is shown, unless that is the last.
const ruleAt = () => (shownEpoch < latest ? shownEpoch : null);
