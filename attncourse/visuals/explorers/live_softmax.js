const [MIN_TEMPERATURE, MAX_TEMPERATURE] = [1 / 8, 8];
const SIDE = 240; // of the plane, in CSS pixels: it is never scaled, so its text keeps its size
const MARGIN = 34; // room for a label beyond the outermost value

/** The corners of the points' convex hull in order (Andrew's monotone chain). */
function convexHull(points) {
  const sorted = [...points].sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  const left = (o, a, b) => (a[0] - o[0]) * (b[1] - o[1]) - (a[1] - o[1]) * (b[0] - o[0]) > 0;
  const chain = (from) => {
    const corners = [];
    for (const point of from) {
      while (corners.length > 1 && !left(corners.at(-2), corners.at(-1), point)) corners.pop();
      corners.push(point);
    }
    return corners.slice(0, -1);
  };
  return [...chain(sorted), ...chain(sorted.reverse())];
}

/** The values in the plane, their hull, and the weighted average that moves inside it. */
function plane(labels, values) {
  const middle = [0, 1].map((axis) => {
    const along = values.map((value) => value[axis]);
    return (Math.min(...along) + Math.max(...along)) / 2;
  });
  const reach = Math.max(...values.flatMap((v) => v.map((x, axis) => Math.abs(x - middle[axis]))));
  const scale = (SIDE / 2 - MARGIN) / (reach || 1);
  const place = ([x, y]) => [SIDE / 2 + (x - middle[0]) * scale, SIDE / 2 - (y - middle[1]) * scale];
  const at = values.map(place);

  const middleHeight = at.reduce((sum, point) => sum + point[1], 0) / at.length;
  const spokes = at.map(([x1, y1]) => s("line", { class: "spoke", x1, y1 }));
  const dots = at.map(([cx, cy]) => s("circle", { class: "dot", cx, cy }));
  const output = s("path", { class: "output", d: "M0-8 8 0 0 8-8 0Z" });
  const node = s("svg", { viewBox: `0 0 ${SIDE} ${SIDE}`, role: "img" },
    s("polygon", { class: "hull", points: convexHull(at).join(" ") }),
    ...spokes,
    ...at.map(([cx, cy]) => s("circle", { class: "ring", cx, cy, r: 3 })),
    ...dots,
    ...at.map(([x, y], i) => s("text", {
      x, y: y + (y < middleHeight ? -20 : 33), "text-anchor": "middle",
    }, labels[i])),
    output);

  return {
    node,
    draw: (weights) => {
      const mean = [0, 1].map((axis) => values.reduce((sum, v, i) => sum + weights[i] * v[axis], 0));
      const [x, y] = place(mean);
      output.setAttribute("transform", `translate(${x} ${y})`);
      spokes.forEach((spoke, i) => {
        spoke.setAttribute("x2", x);
        spoke.setAttribute("y2", y);
        spoke.setAttribute("stroke-width", 4 * weights[i]);
      });
      // Area, not radius, is proportional to the weight.
      dots.forEach((dot, i) => dot.setAttribute("r", 16 * Math.sqrt(weights[i])));
      node.setAttribute("aria-label",
        `The values of ${labels.join(", ")} as points in the plane, with their convex hull; ` +
        `the weighted average lies inside it, at ${mean.map((m) => m.toFixed(2)).join(", ")}.`);
      return mean;
    },
  };
}

function render({ model, el }) {
  const labels = model.get("labels");
  const values = model.get("values");
  const limit = model.get("limit");
  const traits = ["scores", "temperature"];

  // Rounding errors pile up: 0.1 + 0.2 is not 0.3.
  const tenth = (score) => Math.round(score * 1e9) / 1e9;

  const rows = labels.map((label, i) => {
    const input = h("input", {
      type: "range", min: -limit, max: limit, step: 0.1, "aria-label": `score of ${label}`, class: "score",
      oninput: () => {
        model.set("scores", model.get("scores").map((score, j) => (j === i ? Number(input.value) : score)));
        model.save_changes();
      },
    });
    return {
      token: h("span", { class: "token" }, label),
      input,
      score: h("data", { class: "number shown-score" }),
      bar: h("i"),
      weight: h("data", { class: "number weight" }),
    };
  });
  const sum = h("data", { class: "number" });
  const picture = values.length ? plane(labels, values) : null;

  const largest = h("strong");
  const effective = h("strong");
  const effectiveData = h("data", { class: "effective" }, effective);
  const output = h("strong");
  const summary = () =>
    `Weights: ${rows.map((row, i) => `${labels[i]} ${row.weight.textContent}`).join(", ")}.`;
  const announce = announcer(summary);

  const slider = temperatureSlider(model, MIN_TEMPERATURE, MAX_TEMPERATURE, announce.later);
  const buttons = limitedButtons(model, "scores", {
    limits: () => `Scores stay between \u2212${limit} and ${limit}`,
    fits: (scores) => scores.every((score) => Math.abs(score) <= limit),
  }, announce, [
    ["All equal", (scores) => scores.map(() => 0)],
    ["Add 1 to each", (scores) => scores.map((score) => tenth(score + 1))],
    ["Double each", (scores) => scores.map((score) => tenth(score * 2))],
  ]);

  const draw = () => {
    const scores = model.get("scores");
    const weights = softmax(scores, model.get("temperature"));
    slider.draw();
    rows.forEach((row, i) => {
      const score = signed(scores[i], 1);
      const weight = weights[i].toFixed(3);
      row.input.value = scores[i];
      const part = (x) => (x + limit) / (2 * limit);
      row.input.style.setProperty("--from", part(Math.min(0, scores[i])));
      row.input.style.setProperty("--to", part(Math.max(0, scores[i])));
      row.input.setAttribute("aria-valuetext", `score ${score}, weight ${percent(weights[i])}`);
      show(row.score, scores[i], score);
      row.bar.style.width = `${100 * weights[i]}%`;
      show(row.weight, weights[i], weight);
    });
    const total = weights.reduce((a, b) => a + b, 0);
    show(sum, total, total.toFixed(3));

    const top = Math.max(...weights);
    const tops = labels.filter((_, i) => weights[i] > top - 1e-12);
    largest.textContent = `${percent(top)} `;
    largest.nextSibling?.remove();
    largest.after(tops.length === 1 ? tops[0] : `${tops.length} tokens alike`);
    const number = effectiveNumber(weights);
    effective.textContent = digits(number);
    effectiveData.value = String(number);
    if (picture) {
      output.textContent = `(${picture.draw(weights).map((m) => signed(m, 2)).join(", ")})`;
    }
    buttons.draw();
  };

  const head = (text, column) => h("span", { class: "head", style: `grid-column: ${column}` }, text);
  const remove = stage(model, el, traits, [
    h("div", { class: picture ? "softmax with-plane" : "softmax" },
      h("div", { class: "tokens" },
        head("Token", "1"), head("Score", "2 / span 2"), head("Weight", "4 / span 2"),
        ...rows.flatMap((row) =>
          [row.token, row.input, row.score, h("div", { class: "bar" }, row.bar), row.weight]),
        h("span", { class: "sum" }, "Sum", sum)),
      ...(picture ? [h("div", { class: "plane" }, picture.node)] : [])),
    h("div", { class: "controls" }, slider.node),
    h("div", { class: "controls buttons" },
      ...buttons.nodes,
      h("span", { class: "last" }, resetButton(model, traits, announce.later))),
    buttons.note,
    h("dl", { class: "readouts", style: `--columns: ${picture ? 3 : 2}` },
      h("div", {}, h("dt", {}, "Largest weight"), h("dd", {}, largest)),
      h("div", {}, h("dt", {}, "Attends to, in effect"),
        h("dd", {}, effectiveData, ` of ${labels.length} tokens`)),
      ...(picture
        ? [h("div", {}, h("dt", {}, "Weighted average \u25c6"), h("dd", {}, output))]
        : [])),
    announce.node,
  ], draw);
  return () => {
    announce.stop();
    remove();
  };
}

export default { render };
