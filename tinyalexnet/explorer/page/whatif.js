// The form of "what if", below the explanation.

function changeForm(found) {
  if (!canChange(found.layer, found.array)) return [];
  const input = make("input", { type: "number", step: "any", value: numberText(found.stored, found.dtype), id: "changed" });
  const answer = make("div", { "aria-live": "polite", id: "answer" });
  const button = make("button", { type: "submit" }, "compute");
  const form = make("form", {}, make("label", { htmlFor: "changed" }, `${elementText(found.array, found.index)} becomes `), input, " ", button);
  form.onsubmit = async (event) => {
    event.preventDefault();
    const value = Number(input.value);
    if (input.value === "" || !Number.isFinite(value)) return answer.replaceChildren(make("p", {}, "Give a number."));
    button.disabled = true;
    answer.replaceChildren(make("p", {}, "computing ..."));
    try {
      answer.replaceChildren(...(await answerNodes(found, value)));
    } catch (error) {
      answer.replaceChildren(make("p", { class: "wrong" }, error.message));
    }
    button.disabled = false;
  };
  const note = make("p", { class: "help" }, "Only what depends on it is computed again.");
  return [make("h3", {}, "What if"), form, note, answer];
}

async function answerNodes(found, value) {
  const changed = await whatIf(found.layer, found.array, found.index, value);
  const step = 1e-3 * Math.max(1e-2, Math.abs(found.stored));
  const slope = await quotient(found.layer, found.array, found.index, step);
  const before = (await arrayOf(layers[layers.length - 1].name, "loss")).values[0];
  const row = (...cells) => make("tr", {}, ...cells.map((cell, i) => make(i ? "td" : "th", i ? {} : { scope: "row" }, cell)));
  const kinks = slope.kinks ? ` On the way ${slope.kinks} maxima or signs change, so the quotient is no derivative.` : "";
  return [
    make("table", {}, make("tbody", {},
      row("the loss before", numberText(before)),
      row("the loss after", numberText(before + changed.difference)),
      row("difference", numberText(changed.difference)),
      row(`difference quotient, ± ${shortText(step)}`, numberText(slope.quotient)),
      row("the gradient", numberText(slope.gradient, "f4")),
    )),
    ...(kinks ? [make("p", {}, kinks)] : []),
    make("table", {}, make("caption", {}, "elements that change"), make("tbody", {}, ...changed.cone.map(([name, count, all]) => row(name, `${count} of ${all}`)))),
  ];
}
