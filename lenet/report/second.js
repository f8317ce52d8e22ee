// A second run, from its report: what it ended with, the settings that differ, its curves over those
// of this page, and the same image through both networks. Nothing of the file is executed.

const isReport = (file) => /\.html?$/i.test(file?.name ?? "");

// What the page of a run holds for its scripts; an error if the file is no such page.
async function payloadOf(file) {
  if (file.size > LIMITS.bytes) throw new TooLarge();
  const page = new DOMParser().parseFromString(await file.text(), "text/html");
  const found = JSON.parse(page.getElementById("payload").textContent);
  if (typeof found.run.name !== "string") throw new Error("not of a run");
  return found;
}

async function openSecond(file) {
  const section = document.getElementById("second");
  if (!section || !file) return;
  const note = section.querySelector(".note");
  note.replaceChildren();
  try {
    const other = await payloadOf(file);
    await built;
    const box = document.createElement("div");
    box.append(...ends(other), ...settings(other));
    section.querySelector("h2 ~ div").replaceWith(box);
    overlaid(section, box, other);
    throughBoth(box, other);
  } catch {
    note.append(...spans("notreport", { name: file.name }));
  }
  section.scrollIntoView();
}

function* ends(other) {
  const [mine, theirs] = [payload.run.ends, other.run.ends];
  const names = Object.keys(mine).filter((name) => typeof mine[name] === "number" && typeof theirs[name] === "number");
  const digits = (x) => x.toFixed(4).replace("-", "\u2212");
  const signed = (x) => `${x > 0 ? "+" : ""}${digits(x)}`;
  const rows = names.map((name) => [name, digits(mine[name]), digits(theirs[name]), signed(theirs[name] - mine[name])]);
  const heads = [spans("this_run"), [other.run.name], spans("difference")];
  const caution = document.createElement("p");
  caution.append(...spans("one_of_each"));
  if (rows.length) yield* captioned("final_values", {}, pairedTable(heads, rows), caution);
}

function* settings(other) {
  const [mine, theirs] = [payload.run.settings, other.run.settings];
  const names = [...new Set([...Object.keys(mine), ...Object.keys(theirs)])].filter((name) => mine[name] !== theirs[name]);
  const rows = names.map((name) => [name, mine[name] ?? "", theirs[name] ?? ""]);
  const heads = [spans("this_run"), [other.run.name]];
  if (rows.length) yield* captioned("different_settings", {}, pairedTable(heads, rows));
  else yield* captioned("same_settings");
}

function captioned(key, values = {}, ...rest) {
  const head = document.createElement("h3");
  head.append(...spans(key, values));
  return [head, ...rest];
}

// Rows of numbers or settings, the first of each the name of what they are of.
function pairedTable(heads, rows) {
  const box = Object.assign(document.createElement("div"), { className: "scroll" });
  const made = add(box, "table", {});
  const head = add(add(made, "thead", {}), "tr", {});
  add(head, "td", {});
  for (const each of heads) add(head, "th", { scope: "col" }).append(...each);
  const body = add(made, "tbody", {});
  for (const [name, ...values] of rows) {
    const line = add(body, "tr", {});
    const term = (lang) => payload.terms[lang][name] ?? name;
    add(line, "th", { scope: "row" }).append(...inEach(term));
    for (const value of values) add(line, "td", { textContent: String(value) });
  }
  return box;
}

// The curves of both, drawn as those of one are.
function overlaid(section, box, other) {
  const template = section.querySelector("template");
  if (!template) return;
  for (const what of ["losses", "accuracies"]) {
    const theirs = (other.data[what] ?? []).map((row) => ({ ...row, series: `other_${row.series}` }));
    payload.data[`both_${what}`] = [...payload.data[what], ...theirs];
  }
  forgetCharts();
  box.append(template.content.cloneNode(true));
  for (const rows of box.querySelectorAll("[data-rows]")) fillTable(rows, true);
  drawCharts((element) => box.contains(element));
}

// The views of both networks, of one image: a sample, or what the view has in which one draws.
function throughBoth(box, other) {
  views.splice(0, Infinity, ...views.filter(({ element }) => element.isConnected));
  const own = views.find((view) => view.own);
  if (!own) return;
  const kind = (of) => JSON.stringify([of.network?.image_shape, of.class_names?.en]);
  if (!other.network || kind(other) !== kind(payload)) {
    box.append(...captioned("not_both", { name: other.run.name }));
    return;
  }
  box.append(...captioned("one_image"));
  const pair = add(box, "div", { className: "two" });
  const view = (name, network, layers, kind) => {
    const cell = add(pair, "div", {});
    add(cell, "h4", { textContent: name });
    const element = add(cell, "div", { className: "view" });
    element.dataset.view = kind;
    views.push(buildView(element, network, layers, false));
    return views.at(-1);
  };
  const mine = view(payload.run.name, payload.network, layers, "sample");
  const theirs = view(other.run.name, other.network, unpack(other.network), "second");
  together([mine, theirs]);
  own.followers = [mine];
  mine.followers = [theirs];
  mine.changed(own.image);
}
