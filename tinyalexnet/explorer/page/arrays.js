// The arrays of the page, exact sums, and numbers as text.

const meta = JSON.parse(document.getElementById("meta").textContent);
const layers = meta.layers;
const layerAt = new Map(layers.map((layer, position) => [layer.name, { ...layer, position }]));

// An array is bytes sorted by their place in a number, compressed; in the page as base64, or from the server.
const unpacked = new Map();

async function bytesOf(id) {
  if (meta.serve) {
    const answer = await fetch(`array/${id}`);
    if (!answer.ok) throw new Error(`the server has no array ${id} any more: ${answer.status}`);
    return answer.arrayBuffer();
  }
  const text = document.getElementById(`a${id}`).textContent;
  const packed = Uint8Array.fromBase64 ? Uint8Array.fromBase64(text) : Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Response(stream).arrayBuffer();
}

async function unpack(id) {
  const { dtype } = meta.stored[id];
  const planes = new Uint8Array(await bytesOf(id));
  if (dtype === "u1") return planes;
  const size = dtype === "f8" ? 8 : 4;
  const count = planes.length / size;
  const bytes = new Uint8Array(planes.length);
  for (let byte = 0; byte < size; byte++) {
    const start = byte * count;
    for (let i = 0; i < count; i++) bytes[size * i + byte] = planes[start + i];
  }
  return dtype === "f8" ? new Float64Array(bytes.buffer) : new Float32Array(bytes.buffer);
}

// Which layer computes an array, and its name there: the x of a layer is the out of the one before it.
function maker(name, array) {
  const { position } = layerAt.get(name);
  if (array === "x" && position > 0) return [layers[position - 1].name, "out"];
  if (array === "dout" && position + 1 < layers.length) return [layers[position + 1].name, "dx"];
  return [name, array];
}

const described = (name, array) => layerAt.get(name)?.arrays[array];

// {values, shape, dtype} of an array. The dw of a dense layer and one image is an outer product, and is not stored.
async function arrayOf(name, array) {
  const [of, as] = maker(name, array);
  const found = described(of, as);
  if (!found) throw new Error(`${of} has no array ${as}`);
  const key = found.outer ? `${of} ${as}` : found.id;
  if (!unpacked.has(key)) unpacked.set(key, found.outer ? outer(of, found.shape) : unpack(found.id));
  return { values: await unpacked.get(key), shape: found.shape, dtype: found.outer ? "f4" : meta.stored[found.id].dtype };
}

async function outer(name, [inputs, outputs]) {
  const [x, dout] = await Promise.all([arrayOf(name, "x"), arrayOf(name, "dout")]);
  const values = new Float32Array(inputs * outputs);
  for (let c = 0, i = 0; c < inputs; c++) for (let f = 0; f < outputs; f++, i++) values[i] = x.values[c] * dout.values[f];
  return values;
}

// ---- indices

function flat(shape, index) {
  let position = 0;
  for (let axis = 0; axis < shape.length; axis++) position = position * shape[axis] + index[axis];
  return position;
}

function unflat(shape, position) {
  const index = new Array(shape.length);
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    index[axis] = position % shape[axis];
    position = Math.floor(position / shape[axis]);
  }
  return index;
}

const elementText = (array, index) => (index.length ? `${array}[${index.join(",")}]` : array);
const addressText = ([name, array], index) => (index.length ? `${name} ${elementText(array, index)}` : array);

// ---- sums without rounding but the last: Shewchuk, "Adaptive precision floating-point arithmetic", 1997

function exactSum(values) {
  const partials = [];
  for (let x of values) {
    if (!Number.isFinite(x)) return values.reduce((sum, value) => sum + value, 0);
    let count = 0;
    for (let y of partials) {
      if (Math.abs(x) < Math.abs(y)) [x, y] = [y, x];
      const high = x + y;
      const low = y - (high - x);
      if (low) partials[count++] = low;
      x = high;
    }
    partials.length = count;
    partials.push(x);
  }
  let count = partials.length;
  if (!count) return 0;
  let high = partials[--count];
  let low = 0;
  while (count > 0) {
    const x = high;
    const y = partials[--count];
    high = x + y;
    low = y - (high - x);
    if (low) break;
  }
  // Half-way cases round by the sign of what is left.
  if (count > 0 && ((low < 0 && partials[count - 1] < 0) || (low > 0 && partials[count - 1] > 0))) {
    const y = 2 * low;
    const x = high + y;
    if (y === x - high) high = x;
  }
  return high;
}

// ---- numbers as text: the shortest that is this float

function numberText(value, dtype = "f8") {
  if (Number.isFinite(value) && dtype === "f4") {
    for (let digits = 1; digits <= 9; digits++) {
      const text = value.toPrecision(digits);
      if (Math.fround(Number(text)) === value) return String(Number(text));
    }
  }
  return Object.is(value, -0) ? "-0" : String(value);
}

const shortText = (value) => (Number.isFinite(value) ? String(Number(value.toPrecision(3))) : String(value));
