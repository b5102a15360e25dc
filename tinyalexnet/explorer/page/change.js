// What if: an element is changed, and only what depends on it is computed again, in float64.
// A layer's step takes the changed positions of its input and gives those of its output; the rest keeps its stored value.

// The old and the new value of each changed element of one array.
class Changed {
  constructor(values, shape) {
    Object.assign(this, { old: values, shape, now: null, positions: [] });
  }

  set(position, value) {
    if (value === this.at(position)) return;
    this.now ??= Float64Array.from(this.old);
    if (this.now[position] === this.old[position]) this.positions.push(position);
    this.now[position] = value;
  }

  at(position) {
    return this.now ? this.now[position] : this.old[position];
  }
}

// For each kind, the output after a change of the input; ``kinks`` counts maxima and signs that changed.
const steps = {
  async conv(layer, x, out) {
    const [w] = await arrays(layer, "w");
    const [, , depth, filters] = w.shape;
    const [, OH, OW] = out.shape;
    const each = filters / layer.groups;
    const sums = new Float64Array(out.old.length);
    for (const position of x.positions) {
      const [, h, i, c] = unflat(x.shape, position);
      const delta = x.now[position] - x.old[position];
      const group = Math.floor(c / depth);
      const [rows, columns] = outputsOver(layer, [OH, OW], [h, i]);
      for (const [kh, oh] of rows)
        for (const [kw, ow] of columns) {
          const to = (oh * OW + ow) * filters + group * each;
          const from = ((kh * w.shape[1] + kw) * depth + c - group * depth) * filters + group * each;
          for (let f = 0; f < each; f++) sums[to + f] += delta * w.values[from + f];
        }
    }
    addTo(out, sums);
  },
  async dense(layer, x, out) {
    const [w] = await arrays(layer, "w");
    const count = w.shape[1];
    const sums = new Float64Array(count);
    for (const c of x.positions) {
      const delta = x.now[c] - x.old[c];
      for (let f = 0; f < count; f++) sums[f] += delta * w.values[c * count + f];
    }
    addTo(out, sums);
  },
  async pool(layer, x, out, note) {
    await overWindows(layer, x, out, (values) => Math.max(...values), (before, after) => {
      if (before.indexOf(Math.max(...before)) !== after.indexOf(Math.max(...after))) note.kinks += 1;
    });
  },
  async avgpool(layer, x, out) {
    await overWindows(layer, x, out, (values) => exactSum(values) / values.length, () => {});
  },
  async relu(layer, x, out, note) {
    for (const position of x.positions) {
      if (x.old[position] > 0 !== x.now[position] > 0) note.kinks += 1;
      out.set(position, Math.max(0, x.now[position]));
    }
  },
  async lrn(layer, x, out) {
    const channels = x.shape[3];
    const seen = new Set();
    for (const position of x.positions) {
      const c = position % channels;
      for (const there of span(Math.max(0, c - layer.radius), Math.min(channels - 1, c + layer.radius))) seen.add(position - c + there);
    }
    for (const position of seen) {
      const c = position % channels;
      const near = span(Math.max(0, c - layer.radius), Math.min(channels - 1, c + layer.radius));
      const value = (at) => at(position) * (layer.bias + layer.alpha * exactSum(near.map((k) => at(position - c + k) ** 2))) ** -layer.beta;
      out.set(position, out.old[position] + value((p) => x.at(p)) - value((p) => x.old[p]));
    }
  },
  async flatten(layer, x, out) {
    for (const position of x.positions) out.set(position, x.now[position]);
  },
  async dropout(layer, x, out) {
    const kept = layer.arrays.kept ? (await arrays(layer, "kept"))[0].values : null;
    for (const position of x.positions) {
      const factor = kept ? kept[position] / (1 - layer.rate) : 1;
      out.set(position, out.old[position] + factor * (x.now[position] - x.old[position]));
    }
  },
};

// The difference of the loss: of two close losses it would lose its digits.
const lossSteps = {
  l2: (layer, y) => exactSum(y.positions.map((p) => ((y.now[p] - y.old[p]) * (y.now[p] + y.old[p])) / 2)),
  "one output": (layer, y) => y.at(flat(y.shape, layer.index)) - y.old[flat(y.shape, layer.index)],
  "cross-entropy": (layer, y, labels) => {
    const classes = y.shape[1];
    const loss = (at, n) => {
      const row = range(classes).map((k) => at(n * classes + k));
      const largest = Math.max(...row);
      return Math.log(exactSum(row.map((value) => Math.exp(value - largest)))) + largest - at(n * classes + labels[n]);
    };
    return exactSum(range(y.shape[0]).map((n) => loss((p) => y.at(p), n) - loss((p) => y.old[p], n))) / y.shape[0];
  },
};

function addTo(out, sums) {
  for (let position = 0; position < sums.length; position++) if (sums[position]) out.set(position, out.old[position] + sums[position]);
}

async function overWindows(layer, x, out, reduce, look) {
  const seen = new Set();
  for (const position of x.positions) {
    const [, h, i, c] = unflat(x.shape, position);
    const [rows, columns] = outputsOver(layer, out.shape.slice(1, 3), [h, i]);
    for (const [, oh] of rows) for (const [, ow] of columns) seen.add(flat(out.shape, [0, oh, ow, c]));
  }
  for (const position of seen) {
    const [, oh, ow, c] = unflat(out.shape, position);
    const [rows, columns] = pixelsOf(layer, x.shape.slice(1, 3), [oh, ow]);
    const pixels = rows.flatMap(([, h]) => columns.map(([, i]) => flat(x.shape, [0, h, i, c])));
    const [before, after] = [pixels.map((p) => x.old[p]), pixels.map((p) => x.at(p))];
    look(before, after);
    out.set(position, out.old[position] + reduce(after) - reduce(before));
  }
}

// What depends directly on a parameter: the outputs of its layer.
async function parameterStep(layer, array, index, delta, out) {
  if (array === "b") {
    const filters = out.shape[out.shape.length - 1];
    for (let position = index[0]; position < out.old.length; position += filters) out.set(position, out.old[position] + delta);
    return;
  }
  const [x] = await arrays(layer, "x");
  if (layer.kind === "dense") return out.set(index[1], out.old[index[1]] + delta * x.values[index[0]]);
  const [kh, kw, c, f] = index;
  const [, , depth, filters] = layer.arrays.w.shape;
  const channel = Math.floor(f / (filters / layer.groups)) * depth + c;
  const [rows, columns] = outputsAt(layer, x.shape.slice(1, 3), out.shape.slice(1, 3), [kh, kw]);
  for (const [oh, h] of rows)
    for (const [ow, i] of columns) {
      const position = flat(out.shape, [0, oh, ow, f]);
      out.set(position, out.old[position] + delta * x.values[flat(x.shape, [0, h, i, channel])]);
    }
}

const canChange = (layer, array) => ["x", "out", "w", "b"].includes(array) && layerAt.get(layer).kind in { ...steps };

// How much the loss changes if an element becomes ``value``; the changed elements of each layer; and the kinks crossed.
async function whatIf(name, array, index, value) {
  const { position: first } = layerAt.get(name);
  const note = { kinks: 0, cone: [] };
  const changedArray = async (layer, of) => {
    const { values, shape } = await arrayOf(layer, of);
    return new Changed(values, shape);
  };
  let current = await changedArray(name, array === "x" ? "x" : "out");
  const given = await arrayOf(name, array);
  const delta = value - given.values[flat(given.shape, index)];
  if (array === "w" || array === "b") await parameterStep(layerAt.get(name), array, index, delta, current);
  else current.set(flat(current.shape, index), value);
  if (array !== "x") note.cone.push([name, current.positions.length, current.old.length]);
  for (const layer of layers.slice(first + (array === "x" ? 0 : 1))) {
    if (layer.kind in lossSteps) {
      const labels = layer.arrays.labels ? (await arrayOf(layer.name, "labels")).values : null;
      return { ...note, difference: current.positions.length ? lossSteps[layer.kind](layer, current, labels) : 0 };
    }
    if (!(layer.kind in steps)) throw new Error(`${layer.name} does not tell its terms`);
    const next = await changedArray(layer.name, "out");
    await steps[layer.kind](layer, current, next, note);
    note.cone.push([layer.name, next.positions.length, next.old.length]);
    current = next;
    await new Promise((done) => setTimeout(done));
  }
  throw new Error("the loss does not tell its terms");
}

// The difference quotient at ``step`` on both sides, beside the gradient of the same element.
async function quotient(name, array, index, step) {
  const { values, shape } = await arrayOf(name, array);
  const value = values[flat(shape, index)];
  const [up, down] = [await whatIf(name, array, index, value + step), await whatIf(name, array, index, value - step)];
  const [of, as] = { x: [name, "dx"], out: [name, "dout"], w: [name, "dw"], b: [name, "db"] }[array];
  const gradient = await arrayOf(of, as);
  return { quotient: (up.difference - down.difference) / (2 * step), gradient: gradient.values[flat(gradient.shape, index)], kinks: up.kinks + down.kinks, up };
}
