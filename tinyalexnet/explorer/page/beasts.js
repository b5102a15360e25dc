// Break it: a known mistake in place of a gradient. Each takes a layer and an index, and gives the terms that the wrong
// code adds. Names and sentences are those of the package's bestiary.

const ignoringStride = (layer) => ({ ...layer, stride: [1, 1] });
const ignoringPadding = (layer) => ({ ...layer, before: [0, 0] });
const exchangingPadding = (layer) => ({ ...layer, before: layer.pads.map(([, after]) => after) });
const exchangingStrides = (layer) => ({ ...layer, stride: [layer.stride[1], layer.stride[0]] });

// Of terms in which one overwrites those before it, only the last is left: all that share the largest ``place``.
function lastOf(terms, place) {
  const largest = terms.reduce((best, one) => (best === null || isAfter(place(one), best) ? place(one) : best), null);
  return terms.filter((one) => place(one).join() === largest.join());
}

const isAfter = (a, b) => (a[0] === b[0] ? a[1] > b[1] : a[0] > b[0]);
const outputOf = (one) => one.operands[0].index.slice(1, 3);
const positionOf = (one) => one.spot;

// The terms with another factor in the place of their last one, or with one more.
const withLast = (terms, last) => terms.map((one) => term([...one.operands.slice(0, -1), last(one)], one.part, one.key, one.spot));
const withMore = (terms, more) => terms.map((one) => term([...one.operands, more(one)], one.part, one.key, one.spot));

const of = (make, change) => async (layer, index) => change((await make(layer, index)).terms, layer, index);
const through = (make, changed) => async (layer, index) => (await make(changed(layer), index)).terms;

const beasts = {
  conv: {
    dx: {
      "kernel-not-turned": async (layer, index) => {
        const [w] = await arrays(layer, "w");
        return withLast((await conv.dx(layer, index)).terms, ({ spot: [kh, kw], operands }) => {
          const [, , c, f] = operands[1].index;
          return at("w", w, [layer.kernel[0] - 1 - kh, layer.kernel[1] - 1 - kw, c, f]);
        });
      },
      "dx-assigns-windows": of(conv.dx, (terms) => lastOf(terms, outputOf)),
      "dx-assigns-positions": of(conv.dx, (terms) => lastOf(terms, positionOf)),
      "dx-stride-ignored": through(conv.dx, ignoringStride),
      "dx-strides-exchanged": through(conv.dx, exchangingStrides),
      "dx-not-cropped": through(conv.dx, ignoringPadding),
      "dx-cropped-on-the-wrong-side": through(conv.dx, exchangingPadding),
      "dx-of-one-filter": of(conv.dx, (terms, layer) => terms.filter((one) => one.key % (layer.arrays.w.shape[3] / layer.groups) === 0)),
    },
    dw: {
      "dw-flipped": (layer, [kh, kw, c, f]) => of(conv.dw, (terms) => terms)(layer, [layer.kernel[0] - 1 - kh, layer.kernel[1] - 1 - kw, c, f]),
      "dw-mean-over-pixels": of(conv.dw, (terms, layer) => withMore(terms, () => perOutput(layer))),
      "dw-of-the-last-pixel": of(conv.dw, (terms, layer) => {
        const [, OH, OW] = layer.arrays.out.shape;
        return terms.filter(({ operands: [, { index }] }) => index[1] === OH - 1 && index[2] === OW - 1);
      }),
      "dw-padding-ignored": through(conv.dw, ignoringPadding),
      "dw-stride-ignored": through(conv.dw, ignoringStride),
    },
    db: { "db-mean-over-pixels": of(conv.db, (terms, layer) => withLast(terms, () => perOutput(layer))) },
  },
  pool: {
    dx: {
      "maxpool-assigns": of(pool.dx, (terms) => lastOf(terms.filter((one) => one.operands[1].value), outputOf)),
      "maxpool-assigns-positions": of(pool.dx, (terms) => lastOf(terms, positionOf)),
      "maxpool-whole-window": of(pool.dx, (terms) => withLast(terms, () => constant("1", 1))),
      "maxpool-not-cropped": async (layer, [n, h, i, c]) => {
        const at = [h - layer.before[0], i - layer.before[1]];
        return at.every((pixel) => pixel >= 0) ? (await pool.dx(layer, [n, ...at, c])).terms : [];
      },
    },
  },
  avgpool: {
    dx: {
      "avgpool-assigns": of(avgpool.dx, (terms) => lastOf(terms, outputOf)),
      "avgpool-divides-by-kernel": of(avgpool.dx, (terms, layer) => withLast(terms, () => constant("1 / (KH KW)", 1 / (layer.kernel[0] * layer.kernel[1])))),
      "avgpool-not-divided": of(avgpool.dx, (terms) => withLast(terms, () => constant("1", 1))),
    },
  },
  relu: {
    dx: {
      "relu-sign-of-the-gradient": of(relu.dx, (terms) => withLast(terms, ({ operands: [{ value }] }) => constant("dout > 0", value > 0 ? 1 : 0))),
      "relu-guided": of(relu.dx, (terms) => withMore(terms, ({ operands: [{ value }] }) => constant("dout > 0", value > 0 ? 1 : 0))),
      "relu-without-dout": of(relu.dx, (terms) => terms.map((one) => term([one.operands[1]]))),
    },
  },
  lrn: {
    dx: {
      "lrn-divisor-constant": of(lrn.dx, (terms) => terms.slice(0, 1)),
      "lrn-own-output-alone": of(lrn.dx, ([own, ...others], layer, index) => [own, ...others.filter((one) => one.operands[2].index[3] === index[3])]),
      "lrn-without-two": of(lrn.dx, ([own, ...others]) => [own, ...withMore(others, () => constant("1/2", 0.5))]),
      "lrn-power-kept": of(lrn.dx, ([own, ...others], layer) => [own, ...withLast(others, ({ operands }) => constant("scale^-beta", operands[4].value ** (layer.beta / (layer.beta + 1))))]),
      "lrn-own-scale": async (layer, index) => {
        const [scale] = await arrays(layer, "scale");
        const [own, ...others] = (await lrn.dx(layer, index)).terms;
        return [own, ...withLast(others, () => power("scale[c]^(-beta - 1)", scale, index, -layer.beta - 1))];
      },
    },
  },
  dropout: {
    dx: {
      "dropout-dx-not-scaled": of(kinds.dropout.dx, (terms) => withLast(terms, () => constant("1", 1))),
      "dropout-dx-not-masked": of(kinds.dropout.dx, (terms) => terms.map(({ operands: [dout, , scale] }) => term([dout, scale]))),
      "dropout-dx-inverted": of(kinds.dropout.dx, (terms) => terms.map(({ operands: [dout, kept, scale] }) => term([dout, constant("is dropped", 1 - kept.value), scale]))),
    },
  },
  dense: {
    dx: {
      "dense-w-reshaped": async (layer, index) => {
        const [w] = await arrays(layer, "w");
        const [inputs, outputs] = w.shape;
        return withLast((await dense.dx(layer, index)).terms, (one) => at("w", w, unflat([inputs, outputs], one.operands[0].index[1] * inputs + index[1])));
      },
    },
  },
  "cross-entropy": {
    dx: {
      "softmax-without-label": of(crossEntropy.dx, (terms) => terms.slice(0, 1)),
      "softmax-sign": of(crossEntropy.dx, (terms) => withMore(terms, () => constant("-1", -1))),
    },
  },
};

const perOutput = (layer) => constant("1 / (N OH OW)", 1 / (layer.arrays.out.shape[1] * layer.arrays.out.shape[2]));

// Those that can stand in the place of an array of a layer. A mask that is not there cannot be forgotten.
function beastsOf(name, array) {
  const layer = layerAt.get(name);
  const found = beasts[layer.kind]?.[array] ?? {};
  return layer.kind === "dropout" && !layer.arrays.kept ? [] : Object.keys(found).filter((beast) => beast in meta.beasts);
}

// The element that a beast computes.
async function broken(name, array, beast, index) {
  const layer = layerAt.get(name);
  return exactSum((await beasts[layer.kind][array][beast](layer, index)).map((one) => one.value));
}

const NEAR = 12;

// Which elements of a map move: the differences to the stored ones, around the element if the map is large.
async function movedElements(name, array, beast, index) {
  const stored = await arrayOf(name, array);
  const grid = layout(array, stored.shape, array === "dw" && stored.shape.length === 4 ? index[3] : 0);
  const [plane, row, column] = grid.place(index);
  const part = (at, size) => span(Math.max(0, at - NEAR), Math.min(size - 1, at + NEAR));
  const [rows, columns] = [part(row, grid.rows), part(column, grid.columns)];
  const values = new Float32Array(rows.length * columns.length);
  const exact = { count: 0, all: 0 };
  for (const [y, r] of rows.entries())
    for (const [x, c] of columns.entries()) {
      const there = indexAt(stored, grid, plane, r, c);
      if (!there) continue;
      const right = (await explain(name, array, there)).value;
      const wrong = await broken(name, array, beast, there);
      exact.all += 1;
      if (Math.abs(wrong - right) > 1e-12 * Math.max(Math.abs(wrong), Math.abs(right))) exact.count += 1;
      values[y * columns.length + x] = wrong - right;
    }
  return { ...exact, values, rows, columns, shape: [1, rows.length, columns.length, 1], mark: [0, row - rows[0], column - columns[0], 0] };
}
