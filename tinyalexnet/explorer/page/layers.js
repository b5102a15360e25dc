// The terms of pools, ReLU, LRN, dropout, a change of shape, and the losses; and the explanation of any element.

const filledWindow = (layer, n, oh, ow, c) => {
  const row = offset(oh * layer.stride[0] - layer.before[0], "kh");
  const column = offset(ow * layer.stride[1] - layer.before[1], "kw");
  return `x[${n}, ${row}, ${column}, ${c}]`;
};

const pool = {
  async out(layer, [n, oh, ow, c]) {
    const [x] = await arrays(layer, "x");
    const [rows, columns] = pixelsOf(layer, x.shape.slice(1, 3), [oh, ow]);
    const missing = layer.kernel[0] * layer.kernel[1] - rows.length * columns.length;
    return {
      terms: rows.flatMap(([kh, h]) => columns.map(([kw, i]) => term([at("x", x, [n, h, i, c])], "", null, [kh, kw]))),
      operation: LARGEST,
      formula: "out[n,oh,ow,c] = max x[n, oh*stride_h + kh - pad_top, ow*stride_w + kw - pad_left, c]",
      filled: `${elementText("out", [n, oh, ow, c])} = max ${filledWindow(layer, n, oh, ow, c)}`,
      notes: missing ? [`${missing} pixels of the window are padding, which never wins`] : [],
    };
  },
  async dx(layer, [n, h, i, c]) {
    const [dout, argmax] = await arrays(layer, "dout", "argmax");
    const [rows, columns] = outputsOver(layer, dout.shape.slice(1, 3), [h, i]);
    const terms = rows.flatMap(([kh, oh]) =>
      columns.map(([kw, ow]) => {
        const output = [n, oh, ow, c];
        const won = argmax.values[flat(argmax.shape, output)] === kh * layer.kernel[1] + kw;
        return term([at("dout", dout, output), element("is the maximum", won ? 1 : 0, "out", output, false)], "", null, [kh, kw]);
      }),
    );
    return {
      terms,
      formula: "dx[n,h,i,c] = Σ dout[n,oh,ow,c] over the outputs whose maximum is x[n,h,i,c]",
      filled: `${elementText("dx", [n, h, i, c])} = Σ dout[${n},oh,ow,${c}] over the outputs whose maximum is ${elementText("x", [n, h, i, c])}`,
    };
  },
};

const avgpool = {
  async out(layer, [n, oh, ow, c]) {
    const [x] = await arrays(layer, "x");
    const [rows, columns] = pixelsOf(layer, x.shape.slice(1, 3), [oh, ow]);
    const count = rows.length * columns.length;
    return {
      terms: rows.flatMap(([kh, h]) =>
        columns.map(([kw, i]) => term([at("x", x, [n, h, i, c]), constant(`1 / ${count}`, 1 / count)], "", null, [kh, kw])),
      ),
      roundings: 1,
      formula: "out[n,oh,ow,c] = Σ x[n, oh*stride_h + kh - pad_top, ow*stride_w + kw - pad_left, c] / count[oh,ow]",
      filled: `${elementText("out", [n, oh, ow, c])} = Σ ${filledWindow(layer, n, oh, ow, c)} / ${count}`,
    };
  },
  async dx(layer, [n, h, i, c]) {
    const [x, dout] = await arrays(layer, "x", "dout");
    const [rows, columns] = outputsOver(layer, dout.shape.slice(1, 3), [h, i]);
    const terms = rows.flatMap(([kh, oh]) =>
      columns.map(([kw, ow]) => {
        const count = pixelsOf(layer, x.shape.slice(1, 3), [oh, ow]).reduce((product, axis) => product * axis.length, 1);
        return term([at("dout", dout, [n, oh, ow, c]), constant("1 / count", 1 / count)], "", null, [kh, kw]);
      }),
    );
    return {
      terms,
      roundings: 1,
      formula: "dx[n,h,i,c] = Σ dout[n,oh,ow,c] / count[oh,ow] over the outputs whose window has the pixel (h, i)",
      filled: `${elementText("dx", [n, h, i, c])} = Σ dout[${n},oh,ow,${c}] / count[oh,ow] over the outputs whose window has (${h}, ${i})`,
    };
  },
};

const relu = {
  async out(layer, index) {
    const [x] = await arrays(layer, "x");
    const terms = [term([at("x", x, index)]), term([constant("0", 0)])];
    const filled = `${elementText("out", index)} = max(${elementText("x", index)}, 0)`;
    return { terms, operation: LARGEST, formula: "out = max(x, 0)", filled };
  },
  async dx(layer, index) {
    const [dout, out] = await arrays(layer, "dout", "out");
    const above = out.values[flat(out.shape, index)] <= 0 ? 0 : 1;
    return {
      terms: [term([at("dout", dout, index), element("out > 0", above, "out", index, false)])],
      formula: "dx = dout if out > 0, else 0",
      filled: `${elementText("dx", index)} = ${elementText("dout", index)} if ${elementText("out", index)} > 0, else 0`,
    };
  },
};

// Roundings, at most, of a power or an exponential and the products around it: as in the package.
const OF_A_FUNCTION = 12;

const lrn = {
  async scale(layer, index) {
    const [x] = await arrays(layer, "x");
    const near = neighbours(layer, x, index);
    const terms = [term([constant("bias", layer.bias)], "the bias")];
    for (const there of near) terms.push(term([constant("alpha", layer.alpha), at("x", x, there), at("x", x, there)], "the squares"));
    const where = `${index.slice(0, 3).join(",")},${near[0][3]} ... ${near[near.length - 1][3]}`;
    return {
      terms,
      roundings: 3,
      formula: "scale[n,h,i,c] = bias + alpha Σ_{c'} x[n,h,i,c']², c - radius <= c' <= c + radius",
      filled: `${elementText("scale", index)} = ${layer.bias} + ${layer.alpha} Σ x[${where}]²`,
    };
  },
  async out(layer, index) {
    const [x, scale] = await arrays(layer, "x", "scale");
    const terms = [term([at("x", x, index), power("scale^-beta", scale, index, -layer.beta)])];
    return {
      terms,
      roundings: roundingsOfPower([scale.values[flat(scale.shape, index)]], layer.beta),
      formula: "out[n,h,i,c] = x[n,h,i,c] scale[n,h,i,c]^-beta",
      filled: `${elementText("out", index)} = ${elementText("x", index)} ${elementText("scale", index)}^-${layer.beta}`,
    };
  },
  async dx(layer, index) {
    const [x, scale, dout] = await arrays(layer, "x", "scale", "dout");
    const near = neighbours(layer, x, index);
    const { alpha, beta } = layer;
    const terms = [term([at("dout", dout, index), power("scale^-beta", scale, index, -beta)], "the element itself")];
    const factor = constant("-2 alpha beta", -2 * alpha * beta);
    const own = constant("x[c]", x.values[flat(x.shape, index)]);
    for (const there of near) {
      const operands = [factor, own, at("dout", dout, there), at("x", x, there), power("scale^(-beta - 1)", scale, there, -beta - 1)];
      terms.push(term(operands, "through the scales"));
    }
    const where = `${index.slice(0, 3).join(",")},${near[0][3]} ... ${near[near.length - 1][3]}`;
    return {
      terms,
      roundings: roundingsOfPower(near.map((there) => scale.values[flat(scale.shape, there)]), beta + 1),
      formula:
        "dx[n,h,i,c] = dout[n,h,i,c] scale[n,h,i,c]^-beta - 2 alpha beta x[n,h,i,c] Σ_{c'} dout[n,h,i,c'] x[n,h,i,c'] scale[n,h,i,c']^(-beta - 1), c - radius <= c' <= c + radius",
      filled: `${elementText("dx", index)} = ${elementText("dout", index)} ${elementText("scale", index)}^-${beta} - 2 ${alpha} ${beta} ${elementText("x", index)} Σ_c' dout x scale^-${beta + 1} at [${where}]`,
    };
  },
};

function neighbours(layer, x, [n, h, i, c]) {
  return span(Math.max(0, c - layer.radius), Math.min(x.shape[3] - 1, c + layer.radius)).map((there) => [n, h, i, there]);
}

const power = (text, scale, index, exponent) =>
  element(text, scale.values[flat(scale.shape, index)] ** exponent, "scale", index, false);

function roundingsOfPower(scales, exponent) {
  const scale = Math.max(...scales);
  return OF_A_FUNCTION + (scale > 0 && scale < Infinity ? Math.ceil(Math.abs(exponent * Math.log(scale))) : 0);
}

// ---- what only moves or chooses

const moved = (name, of) => async (layer, index) => {
  const [array, shaped] = await arrays(layer, of, name);
  const before = unflat(array.shape, flat(shaped.shape, index));
  return { terms: [term([at(of, array, before)])], formula: `${name} = ${of}, in another shape`, filled: `${elementText(name, index)} = ${elementText(of, before)}` };
};

const dropped = (name, of) => async (layer, index) => {
  const [array] = await arrays(layer, of);
  const operand = at(of, array, index);
  if (!layer.arrays.kept) return { terms: [term([operand])], formula: `${name} = ${of}`, filled: `${elementText(name, index)} = ${elementText(of, index)}` };
  const [kept] = await arrays(layer, "kept");
  const operands = [operand, constant("is kept", kept.values[flat(kept.shape, index)]), constant("1 / (1 - rate)", 1 / (1 - layer.rate))];
  return {
    terms: [term(operands)],
    roundings: 2,
    formula: `${name} = ${of} / (1 - rate) if kept, else 0`,
    filled: `${elementText(name, index)} = ${elementText(of, index)} / (1 - ${layer.rate}) if kept, else 0`,
  };
};
