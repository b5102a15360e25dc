// What is looked at, and how one moves.

const $ = (id) => document.getElementById(id);
const state = { layer: layers[0].name, array: "out", index: null, slice: 0 };
const NAMES = { out: "output", dx: "gradient dx of the input", w: "weights w", dw: "gradient dw", b: "bias b", db: "gradient db", x: "input x", p: "probabilities p", scale: "scale", loss: "loss", kept: "mask", argmax: "argmax", labels: "labels" };
const TRAIL = 8;
const trail = [];
let mosaic = null;
let drawn = null;
let painted = 0;

const hashOf = ({ layer, array, index }) => `#${encodeURIComponent(layer)}/${array}/${index.join(",")}`;

// Goes to an element; the browser's own Back returns.
async function go(layer, array, index, { remember = true } = {}) {
  const [of, as] = maker(layer, array);
  if (!described(of, as)) return;
  const last = { ...state };
  Object.assign(state, { layer: of, array: as, index });
  if (remember && last.index) {
    if (hashOf(last) !== hashOf(state)) trail.push(last);
    trail.splice(0, trail.length - TRAIL);
    history.pushState(null, "", hashOf(state));
  }
  if (last.layer !== of || last.array !== as || !mosaic) await drawAll();
  else await drawOne();
  await show();
}

// A part of an address; as it is if it was not written by hashOf.
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

async function fromHash() {
  const [layer, array, index] = location.hash.slice(1).split("/").map(decoded);
  const shape = layerAt.has(layer) ? described(layer, array)?.shape : null;
  const at = index ? index.split(",").map(Number) : [];
  const isThere = shape && at.length === shape.length && at.every((i, axis) => Number.isInteger(i) && i >= 0 && i < shape[axis]);
  if (isThere) await go(layer, array, at, { remember: false });
  else await go(layers[0].name, "out", middleOf(described(layers[0].name, "out").shape), { remember: false });
}

const middleOf = (shape) => shape.map((size, axis) => (axis === 0 && shape.length !== 1 ? 0 : shape.length === 4 && axis < 3 ? Math.floor(size / 2) : 0));

// ---- the view of an array

async function drawAll() {
  const layer = layerAt.get(state.layer);
  $("heading").textContent = `${state.layer}: ${NAMES[state.array] ?? state.array}`;
  $("shape").textContent = `${layer.text}; this array: ${described(state.layer, state.array).shape.join(" × ") || "one number"}`;
  for (const button of document.querySelectorAll("#layers button")) button.setAttribute("aria-current", String(button.dataset.name === state.layer));
  $("arrays").replaceChildren(
    ...Object.keys(layer.arrays).map((array) => {
      const shape = layer.arrays[array].shape;
      const choose = () => go(state.layer, array, middleOf(shape));
      return make("button", { type: "button", "aria-pressed": String(array === state.array), onclick: choose }, NAMES[array] ?? array);
    }),
  );
  await drawOne();
}

async function drawOne() {
  const array = await arrayOf(state.layer, state.array);
  const isSliced = array.shape.length === 4 && (state.array === "w" || state.array === "dw");
  state.slice = isSliced ? state.index[3] : 0;
  const grid = layout(state.array, array.shape, state.slice);
  const [plane, row, column] = grid.place(state.index);
  $("slices").hidden = !isSliced;
  if (isSliced) Object.assign($("slice"), { value: state.slice, max: grid.slices - 1 });
  const isMosaic = grid.count > 1 && grid.count * grid.rows * grid.columns < 2 ** 23;
  $("maps").parentElement.hidden = !isMosaic;
  const key = `${state.layer} ${state.array} ${state.slice}`;
  if (isMosaic && mosaic?.key !== key) mosaic = { ...drawMosaic($("maps"), array, grid), key };
  if (!isMosaic) mosaic = { key };
  $("maps").setAttribute("aria-label", `${grid.count} maps of ${grid.rows} by ${grid.columns} elements`);
  drawn = { grid, array, plane, ...drawPlane($("map"), array, grid, plane, [{ index: state.index }]) };
  $("map").setAttribute("aria-label", `${state.layer} ${state.array}, ${grid.name(plane)}; the element is at row ${row}, column ${column}`);
  $("chosen").textContent = `${grid.name(plane)}: largest |element| ${shortText(largestOf(array, grid, plane))}`;
  drawCells(array, grid, plane, row, column);
}

// The numbers around the element, with the padding that the next layer puts around them.
function drawCells(array, grid, plane, row, column) {
  const next = layers[layerAt.get(state.layer).position + 1];
  const pads = state.array === "out" && next?.pads && array.shape.length === 4 ? next.pads : [[0, 0], [0, 0]];
  const around = (at, size, [before, after], reach) => {
    const first = Math.max(-before, Math.min(at - reach, size + after - 2 * reach - 1));
    return span(first, Math.min(size + after - 1, first + 2 * reach));
  };
  const rows = around(row, grid.rows, pads[0], 4);
  const columns = around(column, grid.columns, pads[1], 3);
  const head = make("tr", {}, make("th", { scope: "col" }, "row"), ...columns.map((i) => make("th", { scope: "col" }, i)));
  const body = rows.map((h) =>
    make("tr", {}, make("th", { scope: "row" }, h), ...columns.map((i) => {
      const inside = h >= 0 && i >= 0 && h < grid.rows && i < grid.columns;
      const index = inside ? indexAt(array, grid, plane, h, i) : null;
      if (!index) return make("td", { class: "ghost" }, inside ? "" : "0");
      const value = array.values[flat(array.shape, index)];
      const label = `${elementText(state.array, index)} = ${numberText(value, array.dtype)}`;
      const button = make("button", { type: "button", title: label, onclick: () => go(state.layer, state.array, index) }, shortText(value));
      return make("td", { class: `${signed(value)}${h === row && i === column ? " chosen" : ""}` }, button);
    })),
  );
  const text = pads.flat().some(Boolean) ? `; dashed: the padding of ${next.name}` : "";
  $("cells").replaceChildren(make("caption", {}, `${grid.name(plane)}, rows down and columns across${text}`), make("thead", {}, head), make("tbody", {}, ...body));
}

// ---- the explanation

async function show(key = null) {
  const asked = hashOf(state);
  const found = await explain(state.layer, state.array, state.index);
  const nodes = await explanationNodes(found, key);
  const ways = await waysForm(found);
  if (hashOf(state) !== asked) return;
  $("explanation").replaceChildren(...nodes);
  $("trail").replaceChildren(...trail.map(({ layer, array, index }) => link([layer, array], index)));
  $("change").replaceChildren(...ways, ...changeForm(found), ...breakForm(found));
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  painted += 1;
}

// ---- mouse and keys

function clicked(canvas, event) {
  const box = canvas.getBoundingClientRect();
  return [Math.floor(((event.clientY - box.top) / box.height) * canvas.height), Math.floor(((event.clientX - box.left) / box.width) * canvas.width)];
}

$("map").onclick = (event) => {
  const [y, x] = clicked($("map"), event);
  const [row, column] = [Math.floor(y / drawn.cell) + drawn.top, Math.floor(x / drawn.cell) + drawn.left];
  const { grid } = drawn;
  if (row < 0 || column < 0 || row >= grid.rows || column >= grid.columns) return;
  const index = indexAt(drawn.array, grid, drawn.plane, row, column);
  if (index) go(state.layer, state.array, index);
};

$("maps").onclick = (event) => {
  const [y, x] = clicked($("maps"), event);
  const plane = Math.floor(y / mosaic.stepRows) * mosaic.across + Math.floor(x / mosaic.stepColumns);
  const { grid } = drawn;
  if (plane >= grid.count) return;
  const [row, column] = [Math.min(grid.rows - 1, y % mosaic.stepRows), Math.min(grid.columns - 1, x % mosaic.stepColumns)];
  const index = indexAt(drawn.array, grid, plane, row, column);
  if (index) go(state.layer, state.array, index);
};

const STEPS = { ArrowUp: [0, -1, 0], ArrowDown: [0, 1, 0], ArrowLeft: [0, 0, -1], ArrowRight: [0, 0, 1], PageUp: [-1, 0, 0], PageDown: [1, 0, 0] };

function movedByKey(event) {
  const step = STEPS[event.key];
  if (!step || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  const { grid } = drawn;
  const sizes = [grid.count, grid.rows, grid.columns];
  const place = grid.place(state.index).map((at, axis) => (at + step[axis] + sizes[axis]) % sizes[axis]);
  const index = indexAt(drawn.array, grid, ...place);
  if (index) go(state.layer, state.array, index);
}

$("map").onkeydown = movedByKey;
$("maps").onkeydown = movedByKey;
$("slice").onchange = () => {
  const slice = Math.trunc(Number($("slice").value));
  if (slice >= 0 && slice < drawn.grid.slices) go(state.layer, state.array, [...state.index.slice(0, 3), slice]);
  else $("slice").value = state.slice;
};
addEventListener("popstate", fromHash);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", async () => {
  palette = mosaic = null;
  await drawAll();
  await show();
});

// ---- the start

$("about").textContent = meta.about;
$("layers").append(
  ...layers.map((layer) =>
    make("li", {}, make("button", { type: "button", "data-name": layer.name, onclick: () => go(layer.name, "out" in layer.arrays ? "out" : "loss", middleOf((layer.arrays.out ?? layer.arrays.loss).shape)) }, layer.name, make("small", {}, (layer.arrays.out ?? layer.arrays.loss).shape.slice(1).join(" × ") || "a number"))),
  ),
);
if (meta.photo !== null) {
  const values = await unpack(meta.photo);
  drawPhotograph($("picture"), { values, shape: meta.stored[meta.photo].shape });
  $("photo").hidden = false;
}
Object.assign(window, { tinyalexnet: { explain, exactSum, arrayOf, go, state, meta, numberText, quotient, whatIf, beasts, beastsOf, broken, winogradTile, layerAt, painted: () => painted } });
await fromHash();
window.ready = performance.now();
