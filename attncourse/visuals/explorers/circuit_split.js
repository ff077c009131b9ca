const WIDTH = 300; // of the arrows' picture, in CSS pixels: it is never scaled
const [ACROSS, DOWN] = [105, 100]; // half axes of the ellipse on which the classes lie
const MIN_WEIGHT = 0.02; // a smaller weight gets no arrow

const frobenius = (P, Q) =>
  P.reduce((sum, row, i) => sum + row.reduce((of, p, j) => of + p * Q[i][j], 0), 0);
const combine = (M, change) => M.map((row, i) => row.map((m, j) => change(m, M[j][i])));

/** `[n][n]`: softmax of each row over the other classes; a class's weight for itself is 0. */
const weightsOf = (scores) => scores.map((row, i) =>
  [...softmax(row.map((score, j) => (j === i ? -Infinity : score)), 1)]);

/** For each class, the others with its largest score: several where they tie. */
function firstChoices(scores) {
  const size = Math.max(...scores.flat().map(Math.abs));
  return scores.map((row, i) => {
    const others = row.map((_, j) => j).filter((j) => j !== i);
    const top = Math.max(...others.map((j) => row[j]));
    return others.filter((j) => row[j] >= top - 1e-9 * size); // a tie does not depend on the last digits
  });
}

/** M = S + A: what is its own mirror image, and what turns its sign there. */
const halves = (M) => ({
  S: combine(M, (there, back) => (there + back) / 2),
  A: combine(M, (there, back) => (there - back) / 2),
});
const scoresAt = ({ S, A }, t) => S.map((row, i) => row.map((x, j) => x + t * A[i][j]));

/** The sentences about the scores at t. */
function sentences(scores, labels, t) {
  const first = firstChoices(scores);
  const couples = labels.flatMap((one, i) => first[i]
    .filter((j) => j > i && first[j].includes(i)).map((j) => `${one} and ${labels[j]}`));
  return {
    meaning: {
      1: "The head as it is", 0: "The nearest symmetric scores", [-1]: "Query and key swapped",
    }[t] ?? (t > 0 ? "Between the head and symmetric scores" : "Between symmetric and swapped"),
    note: {
      0: "the scores of one shared matrix are symmetric too, and positive semi-definite besides",
      [-1]: "the one that was asked now asks",
    }[t] ?? (scores.every((row, i) => row.every((x) => x <= row[i])) ?
      "each class scores highest with itself, which the arrows and the choices leave out" : ""),
    choices: labels.map((label, i) =>
      `${label} \u2192 ${first[i].map((j) => labels[j]).join(" or ")}`).join(", "),
    mutual: couples.length ? `mutual: ${couples.join(", ")}` : "none is mutual",
  };
}

/** The classes on an ellipse, and an arrow for each weight, as thick as the weight. */
function arrows(labels) {
  const at = labels.map((_, i) => {
    const angle = (2 * Math.PI * i) / labels.length;
    return [WIDTH / 2 + ACROSS * Math.sin(angle), 20 + DOWN * (1 - Math.cos(angle))];
  });
  const boxes = labels.map((label, i) => ({ at: at[i], half: [9 + 3.8 * label.length, 13] }));
  const lines = s("g");
  const height = Math.max(...at.map(([, y]) => y)) + 20; // three classes leave the bottom free
  const node = s("svg", { class: "looks", width: WIDTH, height, role: "img" }, lines,
    ...boxes.flatMap(({ at: [x, y], half: [right, down] }, i) => [
      s("rect", { x: x - right, y: y - down, width: 2 * right, height: 2 * down, rx: 6 }),
      s("text", { x, y }, labels[i])]));

  const arrow = (i, j, weight) => {
    const { d, points } = arrowBetween(boxes[i], boxes[j], { lean: 0.17, head: 6 + 6 * weight });
    return s("g", { opacity: 0.25 + 0.75 * weight, "data-from": i, "data-to": j },
      s("path", { d, "stroke-width": 6 * weight }), s("polygon", { points }));
  };
  return {
    node,
    draw: (weights) => {
      const visible = weights.flatMap((row, i) => row.map((weight, j) => [weight, i, j]))
        .filter(([weight]) => weight >= MIN_WEIGHT)
        .sort((a, b) => a[0] - b[0]); // the strongest on top
      lines.replaceChildren(...visible.map(([weight, i, j]) => arrow(i, j, weight)));
      node.setAttribute("aria-label", "Arrows from each class to the others, as thick as the weight. " +
        labels.map((label, i) => `${label}: ` + labels.map((other, j) => [other, weights[i][j], j])
          .filter(([, , j]) => j !== i)
          .map(([other, weight]) => `${other} ${percent(weight)}`).join(", ")).join(". ") + ".");
    },
  };
}

function render({ model, el }) {
  const names = model.get("names");
  const change = (trait, value) => {
    model.set(trait, value);
    model.save_changes();
    announce.later();
  };

  // ---- controls
  const radios = names.map((name) => h("input", {
    type: "radio", name: "head", value: name, onchange: () => change("head", name),
  }));
  const slider = traitSlider(model, "t", "how much of A: t", { min: -1, max: 1, step: 0.05 }, () => announce.later());
  slider.node.classList.add("wide");
  const goTo = (t, text) =>
    h("button", { type: "button", onclick: () => change("t", t) }, text);

  // ---- pictures, made anew for each head: heads may differ in their classes
  const [sumFigure, looksFigure, symmetricFigure, antisymmetricFigure] =
    ["sum", "looks-at", "symmetric", "antisymmetric"].map((name) => h("figure", { class: name }));
  let current; // the head that the figures are made for
  let parts;
  const setUp = () => {
    const index = names.indexOf(model.get("head"));
    const [M, labels] = [model.get("matrices")[index], model.get("labels")[index]];
    const { S, A } = halves(M);
    const largest = Math.max(...M.flat().map(Math.abs));
    const decimals = largest < 10 ? 2 : largest < 100 ? 1 : 0;
    const tableOf = (caption) => {
      const table = numberTable(labels, caption);
      const draw = (matrix) => matrix.forEach((row, i) => row.forEach((x, j) =>
        table.set(i, j, x, signed(x, decimals), x / largest)));
      return { node: table.node, draw };
    };
    const whole = frobenius(M, M);
    const symmetric = tableOf(`S, symmetric: ${percent(frobenius(S, S) / whole)} of the energy`);
    const rest = tableOf(`A, antisymmetric: ${percent(frobenius(A, A) / whole)} of the energy`);
    symmetric.draw(S);
    rest.draw(A);
    parts = { S, A, labels, sum: tableOf("Scores S + t\u2009A: the row asks the column"), looks: arrows(labels) };
    current = model.get("head");
    sumFigure.replaceChildren(parts.sum.node);
    looksFigure.replaceChildren(parts.looks.node, h("figcaption", {},
      "Who looks at whom: softmax of each row without the diagonal"));
    symmetricFigure.replaceChildren(symmetric.node);
    antisymmetricFigure.replaceChildren(rest.node);
  };

  // ---- read-outs
  const words = {
    meaning: h("strong", { class: "meaning" }),
    note: h("span", { class: "caption note" }),
    choices: h("span", { class: "choices" }),
    mutual: h("span", { class: "caption mutual" }),
  };
  const symmetry = h("data", { class: "symmetry" });
  const summary = () =>
    `${words.meaning.textContent}. Symmetry ${symmetry.textContent}. First choices: ` +
    `${words.choices.textContent}; ${words.mutual.textContent}.`;
  // All that the slider can bring about.
  const turns = Array.from({ length: 41 }, (_, step) => (step - 20) / 20);
  const possible = model.get("matrices").flatMap((M, index) => turns.map((t) =>
    sentences(scoresAt(halves(M), t), model.get("labels")[index], t)));
  const said = (...names) => {
    const texts = new Map(possible.map((each) => names.map((name) => each[name])).map((all) => [all.join(), all]));
    return roomFor(names.map((name) => words[name]), [...texts.values()]);
  };
  const announce = announcer(summary);

  const draw = () => {
    if (current !== model.get("head")) setUp();
    const t = model.get("t");
    const { labels, sum, looks } = parts;
    const scores = scoresAt(parts, t);
    for (const radio of radios) radio.checked = radio.value === current;
    slider.draw();
    sum.draw(scores);
    looks.draw(weightsOf(scores));

    const now = sentences(scores, labels, t);
    for (const [name, node] of Object.entries(words)) node.textContent = now[name];
    const swapped = combine(scores, (there, back) => back);
    const symmetryNow = frobenius(scores, swapped) / (frobenius(scores, scores) || 1);
    show(symmetry, symmetryNow, signed(symmetryNow, 2));
  };

  const readout = (name, ...value) => h("div", {}, h("dt", {}, name), h("dd", {}, ...value));
  const remove = stage(model, el, ["head", "t"], [
    ...(names.length > 1 ? [h("div", { class: "choice", role: "radiogroup", "aria-label": "Head" },
      h("span", { "aria-hidden": "true" }, "Head"),
      h("div", { class: "segments wrapping" },
        ...names.map((name, i) => h("label", {}, radios[i], name))))] : []),
    h("div", { class: "controls" }, slider.node),
    h("div", { class: "controls buttons" },
      goTo(-1, "Swapped, t = \u22121"), goTo(0, "Symmetric, t = 0"), goTo(1, "The head, t = 1")),
    h("div", { class: "split" }, sumFigure, looksFigure, symmetricFigure, antisymmetricFigure),
    h("dl", { class: "readouts in-one-column", style: "--columns: 3" },
      readout("What this is", said("meaning", "note")),
      readout("Symmetry \u27e8M, M\u1d40\u27e9 / \u2016M\u2016\u00b2", h("strong", {}, symmetry), h("br"),
        h("span", { class: "caption" }, "of the scores S + t\u2009A, from \u22121 to\u00a01")),
      readout("First choices", said("choices", "mutual"))),
    announce.node,
  ], draw);
  return () => {
    announce.stop();
    remove();
  };
}

export default { render };
