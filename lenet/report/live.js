// A report that grows. The command that trains tells of each change; the page is then asked for
// again, and what is new is put around what a visitor has in hand.

const HELD = "figure.chart, [data-view], #first, #kernel-pictures, #second, [data-epochs]";
const holds = (element) => element.matches(HELD) || element.querySelector(HELD) !== null;
const nameOf = (element) =>
  element.id || Object.values((element.querySelector("[data-chart], [data-view]") ?? element).dataset).join();

// Give an element the children of another; what is held stays where it is.
function renew(element, next) {
  const held = new Map([...element.children].filter(holds).map((each) => [nameOf(each), each]));
  const children = [...next.children].map((fresh) => {
    const kept = holds(fresh) && held.get(nameOf(fresh));
    if (!kept) return fresh;
    if (!kept.matches(HELD)) renew(kept, fresh);
    return kept;
  });
  for (const each of [...element.childNodes]) if (!children.includes(each)) each.remove();
  children.forEach((each, i) => {
    if (element.children[i] !== each) element.insertBefore(each, element.children[i] ?? null);
  });
}

async function grow(last = "") {
  const answer = await fetch(`./${last}`);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  Object.assign(payload, JSON.parse(page.getElementById("payload").textContent));
  renew(document.getElementById("main"), page.getElementById("main"));
  forgetCharts();
  furnish();
  await network();
  timeline();
  setLanguage(language());
  await Promise.all([drawn, compare()]);
}

const line = document.getElementById("live");
const events = new EventSource("events");
let told = false, growing = built.catch(() => {}), wake = () => {};

// One change after the other, in at most a tenth of the time, for training needs the rest.
async function follow() {
  while (told) {
    told = false;
    const begin = performance.now();
    await grow();
    root.dataset.grown = Number(root.dataset.grown ?? 0) + 1;
    await new Promise((done) => {
      wake = done;
      setTimeout(done, Math.min(9 * (performance.now() - begin), 10_000));
    });
  }
}

events.addEventListener("change", () => {
  if (!told) growing = growing.then(follow);
  told = true;
});
events.addEventListener("end", async ({ data }) => {
  events.close();
  told = false;
  wake();
  await growing.then(() => grow("?last"));
  await pictures();
  worded(line, "ended", { path: data });
  root.dataset.ended = "yes";
});
events.addEventListener("error", () => {
  events.close();
  worded(line, "lost");
});
worded(line, "live");
