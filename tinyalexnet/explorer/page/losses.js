// The terms of the losses, and the explanation of any element.

const halfSquares = {
  async loss(layer) {
    const [y] = await arrays(layer, "x");
    const terms = range(y.values.length).map((i) => {
      const index = unflat(y.shape, i);
      return term([constant("1/2", 0.5), at("x", y, index, "y"), at("x", y, index, "y")]);
    });
    return { terms, roundings: 1, formula: "loss = 1/2 Σ y²", filled: `loss = 1/2 Σ y² of ${terms.length} elements` };
  },
  async dx(layer, index) {
    const [y] = await arrays(layer, "x");
    return { terms: [term([at("x", y, index, "y")])], formula: "dloss/dy = y", filled: `${elementText("dx", index)} = ${elementText("y", index)}` };
  },
};

const crossEntropy = {
  async p(layer, [n, k]) {
    const [logits] = await arrays(layer, "x");
    const row = span(n * logits.shape[1], (n + 1) * logits.shape[1] - 1).map((i) => logits.values[i]);
    const largest = Math.max(...row);
    const exponential = (j, part) => term([element("exp(logit - largest)", Math.exp(row[j] - largest), "x", [n, j], false)], part);
    return {
      terms: [exponential(k, "above the line"), ...range(row.length).map((j) => exponential(j, "below the line"))],
      operation: QUOTIENT,
      roundings: roundingsOfSoftmax(row),
      formula: "p[n,k] = exp(logits[n,k]) / Σ_j exp(logits[n,j])",
      filled: `p[${n},${k}] = exp(logits[${n},${k}]) / Σ_j exp(logits[${n},j]), all less ${shortText(largest)}`,
    };
  },
  async loss(layer) {
    const [logits, p, labels] = await arrays(layer, "x", "p", "labels");
    const count = labels.values.length;
    const share = constant(`1/${count}`, 1 / count);
    const terms = range(count).map((n) => {
      const index = [n, labels.values[n]];
      return term([element("-log p[n,labels[n]]", -Math.log(p.values[flat(p.shape, index)]), "p", index, false), share]);
    });
    return {
      terms,
      absoluteRoundings: 2 * roundingsOfSoftmax(Array.from(logits.values)),
      computedIn: logits.dtype,
      formula: "loss = -1/N Σ_n log p[n,labels[n]]",
      filled: `loss = -1/${count} Σ_n log p[n,labels[n]]`,
    };
  },
  async dx(layer, [n, k]) {
    const [logits, p, labels] = await arrays(layer, "x", "p", "labels");
    const share = constant("1/N", 1 / labels.values.length);
    const terms = [term([at("p", p, [n, k]), share], "the probability")];
    const isRight = labels.values[n] === k;
    if (isRight) terms.push(term([constant("-1, as this is the right class", -1), share], "the right class"));
    return {
      terms,
      roundings: roundingsOfSoftmax(Array.from(logits.values)) + 2,
      formula: "dlogits[n,k] = (p[n,k] - 1 if k = labels[n], else p[n,k]) / N",
      filled: `dlogits[${n},${k}] = (p[${n},${k}]${isRight ? " - 1" : ""}) / ${labels.values.length}`,
    };
  },
};

function roundingsOfSoftmax(row) {
  const spread = Math.max(...row) - Math.min(...row);
  return row.length + OF_A_FUNCTION + (Number.isFinite(spread) ? Math.ceil(spread) : 0);
}

const oneOutput = {
  async loss(layer) {
    const [x] = await arrays(layer, "x");
    return { terms: [term([at("x", x, layer.index)])], formula: "loss = out[index]", filled: `loss = ${elementText("out", layer.index)}` };
  },
  async dx(layer, index) {
    const isSame = index.every((i, axis) => i === layer.index[axis]);
    return {
      terms: [term([constant("is the same element", isSame ? 1 : 0)])],
      formula: "dloss/dout = 1 at the index, else 0",
      filled: `dloss/d${elementText("out", index)} of loss = ${elementText("out", layer.index)}`,
    };
  },
};

// ---- any element

const kinds = {
  conv,
  dense,
  pool,
  avgpool,
  relu,
  lrn,
  flatten: { out: moved("out", "x"), dx: moved("dx", "dout") },
  dropout: { out: dropped("out", "x"), dx: dropped("dx", "dout") },
  l2: halfSquares,
  "cross-entropy": crossEntropy,
  "one output": oneOutput,
};

const GIVEN = {
  x: "the network's input",
  w: "a parameter of the layer; dw is its gradient",
  b: "a parameter of the layer; db is its gradient",
  labels: "a label that was given",
  kept: "drawn at random: if the element is kept",
  argmax: "the kernel position of the largest element of the window, kh * KW + kw",
};

const UNIT = { f4: 2 ** -24, f8: 2 ** -53 };
const TINY = { f4: 2 ** -126, f8: 2 ** -1022 };

// What explain(trace, layer, array, index) of the package returns, for the arrays of this page.
async function explain(name, array, index) {
  const [of, as] = maker(name, array);
  const layer = layerAt.get(of);
  const { values, shape, dtype } = await arrayOf(of, as);
  const stored = values[flat(shape, index)];
  const common = { layer: of, array: as, index, stored, dtype, address: addressText([of, as], index) };
  if (as in GIVEN) return { ...common, given: GIVEN[as], terms: [], value: stored, bound: 0, difference: 0, isRight: true, folds: [] };
  const made = await kinds[layer.kind]?.[as]?.(layer, index);
  if (!made) return { ...common, given: "this layer does not tell its terms", terms: [], value: stored, bound: 0, difference: 0, isRight: true, folds: [] };
  const { terms, operation = SUM } = made;
  const value = valueOf(terms, operation);
  const difference = Object.is(stored, value) || stored === value ? 0 : Math.abs(stored - value);
  const bound = boundOf(made, value, made.computedIn ?? dtype) + Math.abs(value) * 2 ** -53;
  for (const one of terms) for (const operand of one.operands) if (operand.array) operand.element = maker(of, operand.array);
  const winner = operation === LARGEST ? terms.findIndex((one) => one.value === value || Number.isNaN(one.value)) : -1;
  return { notes: [], ...common, ...made, operation, value, difference, bound, isRight: difference <= bound, winner, folds: foldsOf(made) };
}

function valueOf(terms, operation) {
  if (operation === LARGEST) {
    let best = terms[0].value;
    for (const one of terms) if (one.value > best || Number.isNaN(one.value)) best = one.value;
    return best;
  }
  if (operation === QUOTIENT) return terms[0].value / exactSum(terms.slice(1).map((one) => one.value));
  return exactSum(terms.map((one) => one.value));
}

function boundOf(made, value, dtype) {
  if (made.operation === LARGEST) return 0;
  const n = made.terms.length + (made.roundings ?? 0);
  if (n * UNIT[dtype] >= 1) return Infinity;
  const size = made.operation === QUOTIENT ? Math.abs(value) : exactSum(made.terms.map((one) => Math.abs(one.value)));
  const gamma = (n * UNIT[dtype]) / (1 - n * UNIT[dtype]);
  return gamma * size + n * TINY[dtype] + (made.absoluteRoundings ?? 0) * UNIT[dtype];
}

// The sums of the terms for each value of an index, the largest first.
function foldsOf({ terms, fold }) {
  if (!fold) return [];
  const groups = new Map();
  for (const { key, value } of terms) {
    if (key === null) continue;
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(value);
  }
  const sums = [...groups].map(([key, values]) => ({ key, sum: exactSum(values), count: values.length }));
  return sums.sort((a, b) => Math.abs(b.sum) - Math.abs(a.sum));
}
