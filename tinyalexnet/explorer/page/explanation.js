// The explanation of an element, as elements of the page. Names come from files, so they are always text, never markup.

const LISTED = 100;
const SMALL = 240; // pixels of a map beside an explanation

function make(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") node.className = value;
    else if (name.includes("-") || name === "role" || name === "scope" || name === "colspan") node.setAttribute(name, value);
    else node[name] = value;
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

const signed = (value) => (value > 0 ? "plus" : value < 0 ? "minus" : "");
const numberCell = (text, value) => make("td", { class: signed(value) }, text);

// A button that leads to an element.
function link(address, index, text) {
  return make("button", { type: "button", class: "link", onclick: () => go(address[0], address[1], index) }, text ?? addressText(address, index));
}

const operandText = (operand) => {
  const dtype = operand.element ? described(...operand.element).dtype ?? "f4" : "f8";
  return numberText(operand.value, operand.plain ? dtype : "f8");
};

function operandCells(operand) {
  if (!operand.element) return [make("td", { class: "text" }, operand.text), make("td", {}, /^[\d /]+$/.test(operand.text) ? "" : numberText(operand.value))];
  const name = operand.plain ? null : `${operand.text} (${addressText(operand.element, operand.index)})`;
  return [make("td", { class: "text" }, link(operand.element, operand.index, name)), numberCell(operandText(operand), operand.value)];
}

// The terms, the largest first if there are many, each with its factors and its product.
function termsTable(found) {
  const order = found.terms.map((_, i) => i);
  const size = (one) => (Number.isNaN(one.value) ? Infinity : found.operation === LARGEST ? one.value : Math.abs(one.value));
  if (order.length > 12) order.sort((a, b) => size(found.terms[b]) - size(found.terms[a]));
  const shown = order.slice(0, LISTED);
  const factors = Math.max(...found.terms.map((one) => one.operands.length));
  const hasParts = new Set(found.terms.map((one) => one.part)).size > 1;
  const count = found.terms.length;
  const caption = count === 1 ? "1 term" : shown.length === count ? `${count} terms${count > 12 ? ", the largest first" : ""}` : `${count} terms, the ${shown.length} largest first`;
  const head = make("tr", {}, make("th", { scope: "col" }, factors > 1 ? "product" : "term"));
  for (let i = 0; i < factors; i++) head.append(make("th", { scope: "col" }, i ? "times" : factors > 1 ? "of" : "is"), make("th", { scope: "col" }, "value"));
  if (hasParts) head.append(make("th", { scope: "col" }, "part"));
  const body = make("tbody");
  for (const i of shown) {
    const one = found.terms[i];
    const product = numberCell(numberText(one.value) + (i === found.winner ? " ← the first of the largest" : ""), one.value);
    if (i === found.winner) product.classList.add("winner");
    const row = make("tr", {}, product);
    for (let k = 0; k < factors; k++) row.append(...(one.operands[k] ? operandCells(one.operands[k]) : [make("td"), make("td")]));
    if (hasParts) row.append(make("td", { class: "text" }, one.part));
    body.append(row);
  }
  return make("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": "Terms" }, make("table", {}, make("caption", {}, caption), make("thead", {}, head), body));
}

// The kernel positions as a table: what meets at each of them. Positions over padding, or between strides, are dashed.
function windowTable(found, key) {
  const layer = layerAt.get(found.layer);
  const terms = found.terms.filter((one) => one.spot && one.key === key);
  if (!layer.kernel || !terms.length || layer.kernel[0] * layer.kernel[1] === 1 || layer.kernel[1] > 12) return null;
  const bySpot = new Map(terms.map((one) => [one.spot.join(), one]));
  const isForward = found.array === "out";
  const caption = `the window, kh down and kw across${key === null ? "" : `, for ${found.fold} = ${key}`}: ${terms[0].operands.map((operand) => operand.text).join(" times ")}`;
  const head = make("tr", {}, make("th", { scope: "col" }, "kh \\ kw"), ...range(layer.kernel[1]).map((kw) => make("th", { scope: "col" }, kw)));
  const rows = range(layer.kernel[0]).map((kh) =>
    make("tr", {}, make("th", { scope: "row" }, kh), ...range(layer.kernel[1]).map((kw) => {
      const one = bySpot.get([kh, kw].join());
      if (!one) return make("td", { class: "ghost" }, isForward ? "padding" : "–");
      const [first, ...others] = one.operands;
      const cell = make("td", { class: signed(one.value) }, link(first.element, first.index, shortText(first.value)), ...others.map((operand) => ` × ${shortText(operand.value)}`));
      if (found.terms.indexOf(one) === found.winner) cell.classList.add("winner");
      return cell;
    })),
  );
  return make("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": "Window" }, make("table", {}, make("caption", {}, caption), make("thead", {}, head), make("tbody", {}, ...rows)));
}

// LRN's two ways, channel by channel: what the element itself has to do with its own scale, and with its neighbours'.
function channelsTable(found) {
  if (layerAt.get(found.layer).kind !== "lrn" || found.array === "out") return null;
  const isBackward = found.array === "dx";
  const [own, ...others] = found.terms;
  const channels = others.map((one) => one.operands[isBackward ? 2 : 1].index[3]);
  const row = (name, cells) => make("tr", {}, make("th", { scope: "row" }, name), ...cells.map((value, i) => make("td", { class: `${signed(value)}${channels[i] === found.index[3] ? " chosen" : ""}` }, shortText(value))));
  const operands = (i) => others.map((one) => one.operands[i].value);
  const rows = isBackward
    ? [row("dout", operands(2)), row("x", operands(3)), row("scale^(-beta - 1)", operands(4)), row("handed to x[c] through the scale", others.map((one) => one.value))]
    : [row("x", operands(1)), row("alpha x²: its part of the scale", others.map((one) => one.value))];
  const head = make("tr", {}, make("th", { scope: "col" }, "channel c'"), ...channels.map((c) => make("th", { scope: "col" }, c)));
  const caption = isBackward ? `directly, through out[c]: ${shortText(own.value)}; and through the scales of these channels, which x[c] is part of:` : `the bias, ${shortText(own.value)}, and these channels:`;
  return make("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": "Channels" }, make("table", {}, make("caption", {}, caption), make("thead", {}, head), make("tbody", {}, ...rows)));
}

function foldsTable(found, chosen) {
  if (found.folds.length < 2) return null;
  const listed = found.folds.slice(0, 12).map(({ key, sum, count }) =>
    make("tr", {}, make("td", {}, make("button", { type: "button", class: "link", "aria-pressed": String(key === chosen), onclick: () => show(key) }, `${found.fold} = ${key}`)), numberCell(numberText(sum), sum), make("td", {}, count)),
  );
  const head = make("tr", {}, ...["index", "sum", "terms"].map((text) => make("th", { scope: "col" }, text)));
  return make("table", {}, make("caption", {}, `summed for each ${found.fold}, the largest first${found.folds.length > 12 ? `; ${found.folds.length - 12} more` : ""}`), make("thead", {}, head), make("tbody", {}, ...listed));
}

// Where the terms are: a map of each array that has factors, with these elements marked.
async function sourceMaps(found, key) {
  const box = make("div", { class: "sources" });
  const seen = new Map();
  for (const one of found.terms)
    for (const operand of one.operands)
      if (operand.element && (key === null || one.key === key)) {
        const name = operand.element.join(" ");
        if (!seen.has(name)) seen.set(name, { element: operand.element, marks: [] });
        if (seen.get(name).marks.length < 4096) seen.get(name).marks.push({ index: operand.index, weak: one.value === 0 && found.terms.length > 1 });
      }
  for (const { element: address, marks } of seen.values()) {
    const array = await arrayOf(...address);
    const slice = address[1] === "w" && array.shape.length === 4 ? marks[0].index[3] : 0;
    const grid = layout(address[1], array.shape, slice);
    if (grid.rows * grid.columns < 2) continue;
    const own = marks.find(({ index }) => index[index.length - 1] === found.index[found.index.length - 1]) ?? marks[0];
    const [plane] = grid.place(own.index);
    const canvas = make("canvas", { role: "img", "aria-label": `${address.join(" ")}, ${grid.name(plane)}, with ${marks.length} elements marked` });
    drawPlane(canvas, array, grid, plane, marks, { side: SMALL, most: SMALL, ...frameOf(found, address) });
    canvas.onclick = () => go(address[0], address[1], own.index);
    box.append(make("figure", {}, canvas, make("figcaption", {}, `${address.join(" ")}, ${grid.name(plane)}`)));
  }
  return box.childNodes.length ? box : null;
}

// The window of an output in the input, with the padding that it covers.
function frameOf(found, address) {
  const layer = layerAt.get(found.layer);
  if (!layer.kernel || found.array !== "out" || address.join() !== maker(found.layer, "x").join()) return {};
  const [, oh, ow] = found.index;
  const corner = [oh * layer.stride[0] - layer.before[0], ow * layer.stride[1] - layer.before[1]];
  return { pads: layer.pads, frame: [...corner, ...layer.kernel] };
}

function resultLines(found) {
  const lines = [make("p", {}, `the ${found.operation} of the terms: `, make("b", { id: "exact" }, numberText(found.value)))];
  if (found.difference === 0) return [...lines, make("p", {}, "The stored number is exactly this. ✓")];
  const text = `The stored ${found.dtype === "f4" ? "float32" : "float64"} differs by ${found.difference.toExponential(1)}; rounding allows ${found.bound.toExponential(1)}.`;
  return [...lines, make("p", { class: found.isRight ? "" : "wrong" }, `${text} ${found.isRight ? "✓" : "✗ This is more."}`)];
}

async function explanationNodes(found, key) {
  const head = [make("h2", {}, found.address), make("p", { class: "value" }, numberText(found.stored, found.dtype))];
  if (found.given) return [...head, make("p", {}, found.given)];
  if (!found.terms.length) {
    const nothing = make("p", {}, "No term: nothing of what comes after was computed from this element, so its gradient is 0.");
    return [...head, make("p", { class: "formula" }, found.formula), make("p", { class: "formula" }, found.filled), nothing];
  }
  const chosen = found.folds.length ? key ?? found.folds[0].key : null;
  const maps = await sourceMaps(found, chosen);
  const parts = [
    ...head,
    make("p", { class: "formula" }, found.formula),
    make("p", { class: "formula" }, found.filled),
    ...(found.notes ?? []).map((note) => make("p", {}, note)),
    ...resultLines(found),
    maps,
    windowTable(found, chosen),
    channelsTable(found),
    foldsTable(found, chosen),
    termsTable(found),
  ];
  return parts.filter((part) => part !== null);
}
