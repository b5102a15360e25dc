// The form of "break it", below the explanation.

function breakForm(found) {
  const names = beastsOf(found.layer, found.array);
  if (!names.length || !found.terms.length) return [];
  const choice = make("select", { id: "beast" }, ...names.map((name) => make("option", { value: name }, name)));
  const answer = make("div", { "aria-live": "polite", id: "broken" });
  const button = make("button", { type: "submit" }, "break it");
  const form = make("form", {}, make("label", { htmlFor: "beast" }, `${found.array} with the mistake `), choice, " ", button);
  form.onsubmit = async (event) => {
    event.preventDefault();
    button.disabled = true;
    answer.replaceChildren(make("p", {}, "computing ..."));
    answer.replaceChildren(...(await brokenNodes(found, choice.value)));
    button.disabled = false;
  };
  return [make("h3", {}, "Break it"), form, answer];
}

async function brokenNodes(found, beast) {
  const wrong = await broken(found.layer, found.array, beast, found.index);
  const moved = await movedElements(found.layer, found.array, beast, found.index);
  const canvas = make("canvas", { role: "img", "aria-label": `differences of ${moved.all} elements: ${moved.count} are not 0` });
  const grid = layout("out", moved.shape, 0);
  drawPlane(canvas, { values: moved.values, shape: moved.shape }, grid, 0, [{ index: moved.mark }], { side: 240 });
  const row = (name, text) => make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, text));
  const part = (range) => `${range[0]} ... ${range[range.length - 1]}`;
  return [
    make("p", {}, meta.beasts[beast]),
    make("table", {}, make("tbody", {}, row("right", numberText(found.value)), row("with the mistake", numberText(wrong)), row("difference", numberText(wrong - found.value)))),
    make("p", {}, `${moved.count} of ${moved.all} elements move, in rows ${part(moved.rows)} and columns ${part(moved.columns)} of this map:`),
    canvas,
  ];
}
