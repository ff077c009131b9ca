const [MIN_TEMPERATURE, MAX_TEMPERATURE] = [1 / 8, 4];
const SIDE = 320; // of the plane, in CSS pixels: no layout scales it, so its text keeps its size
const MARGIN = 16; // so that a point at the border is whole
const NEAR = 0.25; // a wish is met when the output comes so near to its target

/** softmax(query · keys / temperature), and the average of the values with these weights. */
function attend(query, keys, values, temperature) {
  const weights = softmax(keys.map(([x, y]) => query[0] * x + query[1] * y), temperature);
  const output = [0, 1].map((axis) => values.reduce((sum, v, i) => sum + weights[i] * v[axis], 0));
  return { weights, output };
}

const distance = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]);

const SHAPES = {
  key: () => s("circle", { class: "key-mark", r: 8 }),
  value: () => s("circle", { class: "value-mark", r: 5 }),
  query: () => s("rect", { class: "query-mark", x: -7, y: -7, width: 14, height: 14 }),
  output: () => s("path", { class: "output", d: "M0-8 8 0 0 8-8 0Z" }),
  ask: () => s("circle", { class: "ask-mark", r: 12 }),
  target: () => s("circle", { class: "target-mark", r: 12 }),
};

const legend = (kind, text) => h("span", { class: "legend" },
  s("svg", { viewBox: "-13 -13 26 26", "aria-hidden": "true" }, SHAPES[kind]()), text);

function render({ model, el }) {
  const names = model.get("names");
  const limit = model.get("limit");
  const asked = model.get("asked");
  const asks = model.get("asks");
  const targets = model.get("targets");
  const traits = ["keys_at", "values_at", "query", "tied", "temperature"];

  const scale = (SIDE / 2 - MARGIN) / limit;
  const place = ([x, y]) => [SIDE / 2 + x * scale, SIDE / 2 - y * scale];
  const fromPage = (event) => {
    const [right, down] = pointerOn(plane, event);
    return [((right - 0.5) * SIDE) / scale, ((0.5 - down) * SIDE) / scale];
  };
  const set = (trait, value) => {
    model.set(trait, value);
    model.save_changes();
    announce.later();
  };
  const point = (trait, i, kind, word) => movable(kind, SHAPES[kind](), `${kind} of ${word}`, limit, fromPage,
    (at) => set(trait, model.get(trait).map((old, j) => (j === i ? at : old))));

  // ---- the plane
  const keys = names.map(([word], i) => point("keys_at", i, "key", word));
  const values = names.map((pair, i) => point("values_at", i, "value", pair.join(" ")));
  const query = movable("query", SHAPES.query(), "query", limit, fromPage,
    (at) => set("query", at));
  const links = names.map(() => s("line", { class: "link" }));
  const spokes = names.map(() => s("line", { class: "spoke" }));
  const arrow = s("line", { class: "query-line", x1: SIDE / 2, y1: SIDE / 2 });
  const output = SHAPES.output();
  const label = (text) => s("text", { "text-anchor": "middle" }, text);
  const keyLabels = names.map(([word]) => label(word));
  const valueLabels = names.map(([, word]) => label(word));
  const wishMark = (kind, at, i) => s("g", { transform: `translate(${place(at).join(" ")})` },
    SHAPES[kind](), s("text", { class: "wish-number", "text-anchor": "middle", x: 16, y: -9 }, i + 1));
  const marks = asked.flatMap((_, i) =>
    [wishMark("ask", asks[i], i), wishMark("target", targets[i], i)]);
  const plane = s("svg", { viewBox: `0 0 ${SIDE} ${SIDE}`, role: "group" },
    s("path", { class: "axes", d: `M0 ${SIDE / 2}H${SIDE}M${SIDE / 2} 0V${SIDE}` }),
    ...marks, ...links, ...spokes, arrow,
    ...keys.map(({ node }) => node), ...values.map(({ node }) => node), query.node,
    ...keyLabels, ...valueLabels, output);

  // ---- what is beside it
  const rows = names.map((pair) => ({
    name: h("span", { class: "token" }, pair.join(" ")),
    bar: h("i"),
    weight: h("data", { class: "number weight" }),
  }));
  const wishes = asked.map((item, i) => ({
    button: h("button", { type: "button", onclick: () => set("query", asks[i]) },
      `Ask for ${names[item][0]}`),
    text: `get the ${names[item][1]}`,
    outcome: h("data", { class: "wish" }),
  }));
  const tied = h("input", { type: "checkbox", onchange: () => set("tied", tied.checked) });
  const found = h("strong", { class: "found" });
  const where = h("strong", { class: "where" });
  const nearest = h("strong", { class: "nearest" });
  const summary = () =>
    `The query finds ${found.textContent}. The output is at ${where.textContent}, nearest to ` +
    `${nearest.textContent}.` + wishes.map(({ button, text, outcome }) =>
      ` ${button.textContent}, ${text}: ${outcome.textContent}.`).join("");
  const announce = announcer(summary);
  const slider = temperatureSlider(model, MIN_TEMPERATURE, MAX_TEMPERATURE, announce.later);

  const draw = () => {
    const isTied = model.get("tied");
    const keysAt = model.get("keys_at");
    const valuesAt = isTied ? keysAt : model.get("values_at");
    const queryAt = model.get("query");
    const temperature = model.get("temperature");
    const { weights, output: mean } = attend(queryAt, keysAt, valuesAt, temperature);
    const [x, y] = place(mean);
    output.setAttribute("transform", `translate(${x} ${y})`);
    query.draw(queryAt, place(queryAt));
    fill(arrow, { x2: place(queryAt)[0], y2: place(queryAt)[1] }, []);
    names.forEach((_, i) => {
      const [keyX, keyY] = place(keysAt[i]);
      const [valueX, valueY] = place(valuesAt[i]);
      keys[i].draw(keysAt[i], [keyX, keyY]);
      values[i].draw(valuesAt[i], [valueX, valueY]);
      // A value on its key is moved by its key: it is not a handle of its own.
      fill(values[i].node, { tabindex: isTied ? -1 : 0, "aria-hidden": String(isTied) }, []);
      values[i].node.classList.toggle("fixed", isTied);
      fill(links[i], { x1: keyX, y1: keyY, x2: valueX, y2: valueY }, []);
      fill(spokes[i], { x1: valueX, y1: valueY, x2: x, y2: y, "stroke-width": 5 * weights[i] }, []);
      fill(keyLabels[i], { x: keyX, y: keyY - 13 }, []);
      fill(valueLabels[i], { x: valueX, y: valueY + 21 }, []);
      rows[i].bar.style.width = `${100 * weights[i]}%`;
      show(rows[i].weight, weights[i], weights[i].toFixed(3));
    });
    slider.draw();
    tied.checked = isTied;

    const best = weights.indexOf(Math.max(...weights));
    found.textContent = `${names[best][0]}, ${percent(weights[best])}`;
    where.textContent = coordinates(mean);
    const gaps = valuesAt.map((value) => distance(value, mean));
    const close = names[gaps.indexOf(Math.min(...gaps))];
    nearest.textContent = isTied ? `the key of ${close[0]}` : `the ${close[1]}`;
    wishes.forEach(({ outcome }, i) => {
      const miss = distance(attend(asks[i], keysAt, valuesAt, temperature).output, targets[i]);
      const met = miss <= NEAR;
      show(outcome, miss, met ? "met" : `misses by ${miss.toFixed(2)}`);
      outcome.classList.toggle("met", met);
    });
    plane.setAttribute("aria-label",
      `A plane with the query, the key and the value of each item. ${summary()}`);
  };

  const head = (text, column) => h("span", { class: "head", style: `grid-column: ${column}` }, text);
  const remove = stage(model, el, traits, [
    h("div", { class: "key-value" },
      h("div", { class: "plane" }, plane),
      h("div", {},
        h("div", { class: "tokens" },
          head("Item", "1"), head("Weight", "2 / span 2"),
          ...rows.flatMap((row) => [row.name, h("div", { class: "bar" }, row.bar), row.weight])),
        wishes.length ? h("ol", { class: "wishes" }, ...wishes.map(({ button, text, outcome }) =>
          h("li", {}, button, h("span", {}, `${text}: `, outcome)))) : "")),
    h("div", { class: "legends caption" },
      legend("query", "query"), legend("key", "key"), legend("value", "value"),
      legend("output", "output"),
      ...(wishes.length ? [legend("ask", "asked from here"), legend("target", "wanted here")] : [])),
    h("div", { class: "controls" },
      h("label", { class: "check" }, tied, "K\u00a0=\u00a0V: hand over the keys"),
      slider.node,
      h("span", { class: "last" }, resetButton(model, traits, announce.later))),
    h("dl", { class: "readouts", style: "--columns: 3" },
      h("div", {}, h("dt", {}, "The query finds"), h("dd", {}, found)),
      h("div", {}, h("dt", {}, "The output \u25c6 is at"), h("dd", {}, where)),
      h("div", {}, h("dt", {}, "Nearest to it"), h("dd", {}, nearest))),
    announce.node,
  ], draw);
  return () => {
    announce.stop();
    remove();
  };
}

export default { render };
