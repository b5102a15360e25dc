// The same sum three ways: the terms one after the other, a row of im2col times a column of the filters, and a tile of
// Winograd's algorithm, F(m, r), with two outputs along each axis.

// The direct sum in float32, one rounding for each product and each addition.
function inFloat32(terms) {
  let sum = Math.fround(terms[0].value);
  for (const one of terms.slice(1)) sum = Math.fround(sum + Math.fround(one.value));
  return sum;
}

// Where the output stands in the matrix product out = im2col(x) w + b.
function im2col(layer, [, oh, ow, f]) {
  const [, OH, OW, filters] = layer.arrays.out.shape;
  const [KH, KW, depth] = layer.arrays.w.shape;
  const group = layer.groups > 1 ? ` of group ${Math.floor(f / (filters / layer.groups))}` : "";
  return `row ${oh * OW + ow} of im2col(x)${group}, which is ${OH * OW} × ${KH * KW * depth}, times column ${f} of w, which is ${KH * KW * depth} × ${filters}; element (kh ${KW} + kw) ${depth} + c of the row is x at kernel position (kh, kw) and channel c`;
}

const matrixProduct = (a, b) => a.map((row) => b[0].map((_, j) => row.reduce((sum, value, k) => sum + value * b[k][j], 0)));
const transposed = (a) => a[0].map((_, j) => a.map((row) => row[j]));

// The tile of an output: its pixels d, its filter g and the sum of the elementwise products, over all channels, and the
// outputs y = Aᵀ m A. Everything is float64.
async function winogradTile(layer, [, oh, ow, f]) {
  const [x, w, b] = await arrays(layer, "x", "w", "b");
  const { height, width } = layer.winograd;
  const [, H, W] = x.shape;
  const [KH, KW, depth, filters] = w.shape;
  const first = Math.floor(f / (filters / layer.groups)) * depth;
  const [top, left] = [Math.floor(oh / 2) * 2, Math.floor(ow / 2) * 2];
  const [rows, columns] = [height.bt.length, width.bt.length];
  const sums = range(rows).map(() => new Array(columns).fill(0));
  for (let c = 0; c < depth; c++) {
    const d = range(rows).map((row) => range(columns).map((column) => {
      const [h, i] = [top - layer.before[0] + row, left - layer.before[1] + column];
      return h >= 0 && i >= 0 && h < H && i < W ? x.values[flat(x.shape, [0, h, i, first + c])] : 0;
    }));
    const g = range(KH).map((kh) => range(KW).map((kw) => w.values[flat(w.shape, [kh, kw, c, f])]));
    const v = matrixProduct(matrixProduct(height.bt, d), transposed(width.bt));
    const u = matrixProduct(matrixProduct(height.g, g), transposed(width.g));
    for (let row = 0; row < rows; row++) for (let column = 0; column < columns; column++) sums[row][column] += u[row][column] * v[row][column];
  }
  const y = matrixProduct(matrixProduct(height.at, sums), transposed(width.at));
  return { value: y[oh - top][ow - left] + b.values[f], top, left, rows, columns, products: rows * columns * depth, direct: 4 * KH * KW * depth };
}

async function waysForm(found) {
  const layer = layerAt.get(found.layer);
  if (layer.kind !== "conv" || found.array !== "out") return [];
  const row = (name, value, note) => make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, numberText(value)), make("td", {}, note));
  const direct = inFloat32(found.terms);
  const lines = [
    row("exactly", found.value, "the terms with one rounding"),
    row("one after the other", direct, `in float32, in the order of the formula: off by ${shortText(Math.abs(direct - found.value))}`),
    row("im2col", found.stored, `as stored, off by ${shortText(found.difference)}: ${im2col(layer, found.index)}`),
  ];
  if (layer.winograd) {
    const tile = await winogradTile(layer, found.index);
    const outputs = `outputs ${tile.top} and ${tile.top + 1} down, ${tile.left} and ${tile.left + 1} across`;
    lines.push(row("Winograd", tile.value, `${layer.winograd.name} in float64, off by ${shortText(Math.abs(tile.value - found.value))}: ${outputs} from ${tile.rows} × ${tile.columns} pixels; ${tile.products} products for these four, where the formula has ${tile.direct}`));
  }
  return [make("h3", {}, "The same sum three ways"), make("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": "The same sum three ways" }, make("table", { class: "ways" }, make("tbody", {}, ...lines)))];
}
