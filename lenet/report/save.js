// A chart as a file: SVG or PNG as it is seen, or CSV of its rows.

addEventListener("click", async ({ target }) => {
  const kind = target.closest?.("[data-save]")?.dataset.save;
  if (!kind) return;
  const figure = target.closest("figure");
  const element = figure.querySelector("[data-chart]");
  const rows = payload.data[figure.querySelector("[data-rows]").dataset.rows];
  const content = { csv: () => csv(rows), svg: () => svg(element), png: () => png(element) }[kind];
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await content());
  link.download = `${element.dataset.chart}.${kind}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
});

function csv(rows) {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const cell = (value) => (/[",\r\n]/.test(value ?? "") ? `"${String(value).replaceAll('"', '""')}"` : (value ?? ""));
  const lines = [names, ...rows.map((row) => names.map((name) => row[name]))];
  return new Blob(lines.map((line) => `${line.map(cell).join(",")}\r\n`), { type: "text/csv" });
}

// The text of a chart, its colours those that the style has at the moment.
async function drawing(element) {
  const text = await charts.get(element).view.toSVG();
  return text.replace(/var\((--[\w-]+)\)/g, (_, name) => colour(name));
}

const svg = async (element) => new Blob([await drawing(element)], { type: "image/svg+xml" });

async function png(element) {
  const picture = new Image();
  picture.src = `data:image/svg+xml,${encodeURIComponent(await drawing(element))}`;
  await picture.decode();
  const canvas = offscreen(null, 2 * picture.width, 2 * picture.height);
  const context = canvas.getContext("2d");
  context.fillStyle = colour("--paper");
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  return new Promise((done) => canvas.toBlob(done));
}
