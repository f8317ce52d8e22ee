// The network on the first screen: the image that lies in the view to draw in, the classes that are
// likeliest, and a way through the sample images.

const LIKELIEST = 3;

function firstScreen(box, view, network) {
  const link = add(box, "a", { href: "#play" });
  const canvas = add(link, "canvas", {});
  canvas.setAttribute("aria-hidden", "true");
  add(link, "span", {}).append(...spans("look_inside"));
  const truth = add(box, "p", { className: "note calm" });
  const bars = add(box, "div", { className: "bars" });
  if (view.step) {
    const controls = add(box, "div", { className: "controls" });
    for (const [key, sign, by] of [["previous", "‹", -1], ["next", "›", 1]]) {
      const button = add(controls, "button", { type: "button", textContent: sign });
      label(button, key);
      button.addEventListener("click", () => view.step(by));
    }
  }
  oneStop(box, "a, button");
  view.told = () => {
    copied(canvas, view.picture);
    const sample = network.samples[view.sample?.() ?? -1];
    truth.replaceChildren(...(sample ? spans("sample", { name: className(sample.label), index: sample.index }) : []));
    if (blank(view, bars)) return;
    const shares = softmax(view.outputs.at(-1).values);
    const order = [...shares.keys()].sort((a, b) => shares[b] - shares[a]).slice(0, LIKELIEST);
    bars.replaceChildren();
    for (const k of order) {
      const name = add(bars, "span", { textContent: className(k)(language()) });
      const meter = add(bars, "meter", { min: 0, max: 1, value: shares[k] });
      meter.setAttribute("aria-label", name.textContent);
      add(bars, "span", { textContent: shares[k].toFixed(3) });
      if (k === order[0]) name.className = "first";
    }
  };
  view.told();
}
