// Arrays as maps: planes of rows and columns, coloured by value.

// How an array is laid out in planes. ``at`` is the place of an element in memory, or -1; ``place`` its plane, row and
// column. A dense output is a vector, and is wrapped into rows.
function layout(array, shape, slice) {
  const isWeight = array === "w" || array === "dw";
  if (shape.length === 4) {
    const [, , C, F] = shape;
    const [rows, columns, count] = isWeight ? shape : [shape[1], shape[2], shape[3]];
    const at = isWeight
      ? (plane, row, column) => ((row * columns + column) * C + plane) * F + slice
      : (plane, row, column) => (row * columns + column) * count + plane;
    const place = isWeight ? ([row, column, c]) => [c, row, column] : ([, row, column, c]) => [c, row, column];
    const name = (plane) => (isWeight ? `channel ${plane} of filter ${slice}` : `channel ${plane}`);
    return { rows, columns, count, at, place, name, slices: isWeight ? F : 0 };
  }
  if (shape.length === 2 && isWeight) {
    const [rows, columns] = shape;
    return { rows, columns, count: 1, at: (_, row, column) => row * columns + column, place: ([row, column]) => [0, row, column], name: () => "rows c, columns f", slices: 0 };
  }
  const length = shape.length ? shape[shape.length - 1] : 1;
  const columns = Math.max(1, Math.ceil(Math.sqrt(length)));
  const at = (_, row, column) => (row * columns + column < length ? row * columns + column : -1);
  const place = (index) => [0, Math.floor((index[index.length - 1] ?? 0) / columns), (index[index.length - 1] ?? 0) % columns];
  return { rows: Math.ceil(length / columns), columns, count: 1, at, place, name: () => `${length} in rows of ${columns}`, slices: 0 };
}

// The index of a place, or null if nothing is there.
function indexAt({ shape }, grid, plane, row, column) {
  const position = grid.at(plane, row, column);
  return position < 0 ? null : unflat(shape, position);
}

// Blue below zero, orange above it; zero has the colour of the page.
const SHADES = 255;
let palette = null;

function shades() {
  const isDark = matchMedia("(prefers-color-scheme: dark)").matches;
  const zero = isDark ? [24, 24, 27] : [255, 255, 255];
  const ends = isDark ? [[90, 170, 255], [255, 160, 70]] : [[10, 75, 160], [190, 70, 0]];
  const table = new Uint32Array(2 * SHADES + 2);
  const packed = ([red, green, blue]) => (255 << 24) | (blue << 16) | (green << 8) | red;
  for (let shade = -SHADES; shade <= SHADES; shade++)
    table[shade + SHADES] = packed(zero.map((from, i) => Math.round(from + ((ends[shade < 0 ? 0 : 1][i] - from) * Math.abs(shade)) / SHADES)));
  table[2 * SHADES + 1] = packed([160, 0, 160]); // NaN
  return table;
}

const shadeOf = (value, most) =>
  Number.isNaN(value) ? 2 * SHADES + 1 : SHADES + Math.round(SHADES * Math.max(-1, Math.min(1, value / most)));

function largestOf({ values }, grid, plane) {
  let most = 0;
  for (let row = 0; row < grid.rows; row++)
    for (let column = 0; column < grid.columns; column++) {
      const size = Math.abs(values[grid.at(plane, row, column)] ?? 0);
      if (size > most && size < Infinity) most = size;
    }
  return most || 1;
}

// Rows and columns of a plane as pixels of an image ``width`` wide, from (left, top) on.
function fill(pixels, width, left, top, { values }, grid, plane, [firstRow, lastRow], [firstColumn, lastColumn]) {
  palette ??= shades();
  const most = largestOf({ values }, grid, plane);
  for (let row = firstRow; row < lastRow; row++)
    for (let column = firstColumn; column < lastColumn; column++) {
      const position = grid.at(plane, row, column);
      if (position >= 0) pixels[(top + row - firstRow) * width + left + column - firstColumn] = palette[shadeOf(values[position], most)];
    }
}

// All planes side by side, one pixel for an element; for the places of clicks, how they are arranged.
function drawMosaic(canvas, array, grid) {
  const across = Math.max(1, Math.ceil(Math.sqrt((grid.count * grid.rows) / grid.columns)));
  const down = Math.ceil(grid.count / across);
  canvas.width = across * (grid.columns + 1);
  canvas.height = down * (grid.rows + 1);
  const context = canvas.getContext("2d");
  const image = context.createImageData(canvas.width, canvas.height);
  const pixels = new Uint32Array(image.data.buffer);
  for (let plane = 0; plane < grid.count; plane++) {
    const left = (plane % across) * (grid.columns + 1);
    const top = Math.floor(plane / across) * (grid.rows + 1);
    fill(pixels, canvas.width, left, top, array, grid, plane, [0, grid.rows], [0, grid.columns]);
  }
  context.putImageData(image, 0, 0);
  canvas.style.width = `${Math.min(720, Math.max(280, canvas.width))}px`;
  return { across, stepRows: grid.rows + 1, stepColumns: grid.columns + 1 };
}

const LARGEST_SIDE = 1024;

// The first and the last of ``size`` rows, or columns, that are shown if only ``most`` fit.
function shownPart(size, marked, most) {
  const first = Math.max(0, Math.min(size - most, marked - most / 2));
  return [first, Math.min(size, first + most)];
}

// One plane, with marked elements and, if ``pads`` is given, dashed cells of padding around it.
function drawPlane(canvas, array, grid, plane, marks, { side = 440, most = LARGEST_SIDE, pads = [[0, 0], [0, 0]], frame = null } = {}) {
  const [, markRow, markColumn] = marks.length ? grid.place(marks[0].index) : [0, 0, 0];
  const [rows, columns] = [shownPart(grid.rows, markRow, most), shownPart(grid.columns, markColumn, most)];
  const [height, width] = [rows[1] - rows[0], columns[1] - columns[0]];
  const [down, across] = [height + pads[0][0] + pads[0][1], width + pads[1][0] + pads[1][1]];
  const cell = Math.max(1, Math.floor(side / Math.max(down, across)));
  canvas.width = across * cell;
  canvas.height = down * cell;
  canvas.style.width = `${Math.max(canvas.width, Math.min(side, 240))}px`;
  const context = canvas.getContext("2d");
  const small = new OffscreenCanvas(width, height);
  const image = new ImageData(width, height);
  fill(new Uint32Array(image.data.buffer), width, 0, 0, array, grid, plane, rows, columns);
  small.getContext("2d").putImageData(image, 0, 0);
  context.imageSmoothingEnabled = false;
  if (cell > 3) drawPadding(context, cell, [down, across], [height, width], pads);
  context.drawImage(small, pads[1][0] * cell, pads[0][0] * cell, width * cell, height * cell);
  if (cell >= READABLE) drawNumbers(context, cell, array, grid, plane, pads);
  const [top, left] = [rows[0] - pads[0][0], columns[0] - pads[1][0]];
  const box = (row, column, high, wide) => [(column - left) * cell, (row - top) * cell, wide * cell, high * cell];
  const places = marks.map(({ index, weak }) => [...grid.place(index), weak]).filter(([of]) => of === plane);
  if (cell >= SEPARATE || places.length === 1) for (const [, row, column, weak] of places) outline(context, ...box(row, column, 1, 1), weak);
  else if (places.length) outline(context, ...box(...around(places)), false);
  if (frame) outline(context, ...box(...frame), false);
  return { cell, top, left };
}

// From so many pixels on a cell has room for its number.
const READABLE = 44;

// Only small planes have such cells, and are shown whole.
function drawNumbers(context, cell, { values }, grid, plane, pads) {
  const most = largestOf({ values }, grid, plane);
  context.font = `${Math.min(14, cell / 4)}px system-ui, sans-serif`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  for (let row = 0; row < grid.rows; row++)
    for (let column = 0; column < grid.columns; column++) {
      const position = grid.at(plane, row, column);
      if (position < 0) continue;
      const shade = palette[shadeOf(values[position], most)];
      const light = 0.3 * (shade & 255) + 0.6 * ((shade >> 8) & 255) + 0.1 * ((shade >> 16) & 255);
      context.fillStyle = light > 130 ? "#000" : "#fff";
      context.fillText(shortText(values[position]), (column + pads[1][0] + 0.5) * cell, (row + pads[0][0] + 0.5) * cell, cell - 4);
    }
}

function drawPadding(context, cell, [down, across], [height, width], pads) {
  for (let y = 0; y < down; y++)
    for (let x = 0; x < across; x++) {
      const [row, column] = [y - pads[0][0], x - pads[1][0]];
      if (row < 0 || column < 0 || row >= height || column >= width) dashed(context, x * cell, y * cell, cell, cell);
    }
}

// Below so many pixels marked cells are not outlined one by one, but together.
const SEPARATE = 14;

function around(places) {
  const [rows, columns] = [places.map(([, row]) => row), places.map(([, , column]) => column)];
  const [top, left] = [Math.min(...rows), Math.min(...columns)];
  return [top, left, Math.max(...rows) - top + 1, Math.max(...columns) - left + 1];
}

function outline(context, x, y, width, height, weak) {
  const line = Math.max(2, Math.min(4, width / 6));
  context.setLineDash(weak ? [3, 3] : []);
  for (const [style, extra] of [["#000", line + 2], ["#fff000", line]]) {
    context.strokeStyle = style;
    context.lineWidth = Math.max(1, extra / 2);
    context.strokeRect(x + 0.5, y + 0.5, Math.max(1, width - 1), Math.max(1, height - 1));
  }
  context.setLineDash([]);
}

function dashed(context, x, y, width, height) {
  context.setLineDash([2, 2]);
  context.lineWidth = 1;
  context.strokeStyle = "#888";
  context.strokeRect(x + 1.5, y + 1.5, width - 3, height - 3);
  context.setLineDash([]);
}

function drawPhotograph(canvas, { values, shape }) {
  const [H, W, C] = shape;
  canvas.width = W;
  canvas.height = H;
  const image = new ImageData(W, H);
  for (let pixel = 0; pixel < H * W; pixel++) {
    for (let channel = 0; channel < 3; channel++) image.data[4 * pixel + channel] = values[C * pixel + Math.min(channel, C - 1)];
    image.data[4 * pixel + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}
