// What one element was computed from: the same terms as the files ops/*/terms.py of the package, for one image.

const SUM = "sum";
const LARGEST = "largest";
const QUOTIENT = "quotient";

// How a formula writes an index: "kh", "8 + kh", "kh - 2".
const offset = (base, name) => (base > 0 ? `${base} + ${name}` : base ? `${name} - ${-base}` : name);
const times = (stride, name) => (stride > 1 ? `${stride} ${name}` : name);

// An operand of a term: how the formula writes it, its value, and the element it comes from; a constant has none.
const element = (text, value, array, index, plain = true) => ({ text, value, array, index, plain });
const constant = (text, value) => ({ text, value });

// ``key`` is the value of the index by which terms can be added up, ``spot`` the kernel position (kh, kw) of a window.
function term(operands, part = "", key = null, spot = null) {
  return { operands, part, key, spot, value: operands.reduce((product, operand) => product * operand.value, 1) };
}

// The kernel positions of the window at an output pixel: [position, pixel] for each axis, without those over padding.
function pixelsOf(window, size, output) {
  return [0, 1].map((axis) =>
    range(window.kernel[axis])
      .map((k) => [k, output[axis] * window.stride[axis] + k - window.before[axis]])
      .filter(([, pixel]) => pixel >= 0 && pixel < size[axis]),
  );
}

// The output pixels whose windows have a pixel in them: [position, output] for each axis.
function outputsOver(window, outSize, pixel) {
  return [0, 1].map((axis) =>
    range(window.kernel[axis])
      .map((k) => [k, (pixel[axis] + window.before[axis] - k) / window.stride[axis]])
      .filter(([, output]) => Number.isInteger(output) && output >= 0 && output < outSize[axis]),
  );
}

// The output pixels for which a kernel position is inside the image: [output, pixel] for each axis.
function outputsAt(window, size, outSize, kernel) {
  return [0, 1].map((axis) =>
    range(outSize[axis])
      .map((output) => [output, output * window.stride[axis] + kernel[axis] - window.before[axis]])
      .filter(([, pixel]) => pixel >= 0 && pixel < size[axis]),
  );
}

const range = (count) => Array.from({ length: count }, (_, i) => i);
const span = (first, last) => range(last - first + 1).map((i) => first + i);

// ---- convolution

const conv = {
  async out(layer, [n, oh, ow, f]) {
    const [x, w, b] = await arrays(layer, "x", "w", "b");
    const [, H, W] = x.shape;
    const [, , depth, filters] = w.shape;
    const first = Math.floor(f / (filters / layer.groups)) * depth;
    const [rows, columns] = pixelsOf(layer, [H, W], [oh, ow]);
    const terms = [term([element("b", b.values[f], "b", [f]), constant("1", 1)], "the bias")];
    for (const [kh, h] of rows)
      for (const [kw, i] of columns)
        for (let c = 0; c < depth; c++) {
          const pixel = [n, h, i, first + c];
          const weight = [kh, kw, c, f];
          const operands = [at("x", x, pixel), at("w", w, weight)];
          terms.push(term(operands, "the window", first + c, [kh, kw]));
        }
    const row = offset(oh * layer.stride[0] - layer.before[0], "kh");
    const column = offset(ow * layer.stride[1] - layer.before[1], "kw");
    return {
      terms,
      fold: "c",
      formula: "out[n,oh,ow,f] = b[f] + Σ x[n, oh*stride_h + kh - pad_top, ow*stride_w + kw - pad_left, c] w[kh,kw,c,f]",
      filled: `${elementText("out", [n, oh, ow, f])} = b[${f}] + Σ x[${n}, ${row}, ${column}, ${offset(first, "c")}] w[kh,kw,c,${f}]`,
      notes: leftOut(layer, rows.length * columns.length, "kernel positions are over padding, which is 0"),
    };
  },
  async dx(layer, [n, h, i, c]) {
    const [w, dout] = await arrays(layer, "w", "dout");
    const [, OH, OW] = dout.shape;
    const [, , depth, total] = w.shape;
    const filters = total / layer.groups;
    const group = Math.floor(c / depth);
    const [rows, columns] = outputsOver(layer, [OH, OW], [h, i]);
    const terms = [];
    for (const [kh, oh] of rows)
      for (const [kw, ow] of columns)
        for (let f = group * filters; f < (group + 1) * filters; f++) {
          const operands = [at("dout", dout, [n, oh, ow, f]), at("w", w, [kh, kw, c - group * depth, f])];
          terms.push(term(operands, "", f, [kh, kw]));
        }
    const met = (axis, output, kernel, pixel) => `${times(layer.stride[axis], output)} + ${kernel} = ${pixel + layer.before[axis]}`;
    return {
      terms,
      fold: "f",
      formula:
        "dx[n,h,i,c] = Σ dout[n,oh,ow,f] w[kh,kw,c,f] over all oh, kh with oh*stride_h + kh - pad_top = h, and all ow, kw with ow*stride_w + kw - pad_left = i",
      filled: `${elementText("dx", [n, h, i, c])} = Σ dout[${n},oh,ow,f] w[kh,kw,${c - group * depth},f] over all oh, kh with ${met(0, "oh", "kh", h)}, and all ow, kw with ${met(1, "ow", "kw", i)}`,
      notes: leftOut(layer, rows.length * columns.length, "kernel positions do not meet this pixel, for any output"),
    };
  },
  async dw(layer, [kh, kw, c, f]) {
    const [x, dout] = await arrays(layer, "x", "dout");
    const [, H, W, C] = x.shape;
    const [, OH, OW, filters] = dout.shape;
    const channel = Math.floor(f / (filters / layer.groups)) * (C / layer.groups) + c;
    const [rows, columns] = outputsAt(layer, [H, W], [OH, OW], [kh, kw]);
    const terms = [];
    for (const [oh, h] of rows)
      for (const [ow, i] of columns) terms.push(term([at("x", x, [0, h, i, channel]), at("dout", dout, [0, oh, ow, f])]));
    const row = offset(kh - layer.before[0], times(layer.stride[0], "oh"));
    const column = offset(kw - layer.before[1], times(layer.stride[1], "ow"));
    return {
      terms,
      formula: "dw[kh,kw,c,f] = Σ x[n, oh*stride_h + kh - pad_top, ow*stride_w + kw - pad_left, c] dout[n,oh,ow,f]",
      filled: `${elementText("dw", [kh, kw, c, f])} = Σ x[n, ${row}, ${column}, ${channel}] dout[n,oh,ow,${f}]`,
    };
  },
  async db(layer, [f]) {
    return sumOfOutputs(layer, f, "db[f] = Σ dout[n,oh,ow,f]", `db[${f}] = Σ dout[n,oh,ow,${f}]`);
  },
};

async function sumOfOutputs(layer, f, formula, filled) {
  const [dout] = await arrays(layer, "dout");
  const outer = dout.shape.slice(0, -1);
  const count = outer.reduce((product, size) => product * size, 1);
  const terms = range(count).map((i) => term([at("dout", dout, [...unflat(outer, i), f]), constant("1", 1)]));
  return { terms, formula, filled };
}

function leftOut(layer, count, why) {
  const all = layer.kernel[0] * layer.kernel[1];
  return all > count ? [`${all - count} of ${all} ${why}`] : [];
}

// The arrays of a layer that have these names.
const arrays = (layer, ...names) => Promise.all(names.map((name) => arrayOf(layer.name, name)));

// An element of an array, as an operand.
const at = (name, array, index, text = name, plain = true) => element(text, array.values[flat(array.shape, index)], name, index, plain);

// ---- dense

const dense = {
  async out(layer, [n, f]) {
    const [x, w, b] = await arrays(layer, "x", "w", "b");
    const terms = [term([at("b", b, [f]), constant("1", 1)], "the bias")];
    for (let c = 0; c < x.shape[1]; c++) terms.push(term([at("x", x, [n, c]), at("w", w, [c, f])], "the inputs"));
    return { terms, formula: "out[n,f] = b[f] + Σ x[n,c] w[c,f]", filled: `out[${n},${f}] = b[${f}] + Σ x[${n},c] w[c,${f}]` };
  },
  async dx(layer, [n, c]) {
    const [w, dout] = await arrays(layer, "w", "dout");
    const terms = range(dout.shape[1]).map((f) => term([at("dout", dout, [n, f]), at("w", w, [c, f])]));
    return { terms, formula: "dx[n,c] = Σ dout[n,f] w[c,f]", filled: `dx[${n},${c}] = Σ dout[${n},f] w[${c},f]` };
  },
  async dw(layer, [c, f]) {
    const [x, dout] = await arrays(layer, "x", "dout");
    const terms = [term([at("x", x, [0, c]), at("dout", dout, [0, f])])];
    return { terms, formula: "dw[c,f] = Σ x[n,c] dout[n,f]", filled: `dw[${c},${f}] = Σ x[n,${c}] dout[n,${f}]` };
  },
  async db(layer, [f]) {
    return sumOfOutputs(layer, f, "db[f] = Σ dout[n,f]", `db[${f}] = Σ dout[n,${f}]`);
  },
};
