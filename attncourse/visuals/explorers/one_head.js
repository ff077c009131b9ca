const STEPS = ["Tokens", "Project", "Score", "Softmax", "Average", "Output"];
const [TOKENS, PROJECT, SCORE, SOFTMAX, AVERAGE, OUTPUT] = STEPS.map((_, i) => i + 1);
const [LIMIT, GRID] = [6, 0.25]; // of a number that the reader changes: its size, and its steps
const MILLISECONDS = 900; // that a number needs to get where it goes

const dot = (a, b) => a.reduce((sum, each, i) => sum + each * b[i], 0);
const times = (matrix, vector) => matrix.map((row) => dot(row, vector));

/** Everything the head computes for the token that asks, from x to W_o o. */
function attend({ x, w_q, w_k, w_v, w_o }, asks) {
  const query = times(w_q, x[asks]);
  const keys = x.map((token) => times(w_k, token));
  const values = x.map((token) => times(w_v, token));
  const dots = keys.map((key) => dot(query, key));
  const scores = dots.map((each) => each / Math.sqrt(query.length));
  const weights = [...softmax(scores, 1)];
  const average = w_v.map((_, a) => dot(weights, values.map((value) => value[a])));
  return { query, keys, values, dots, scores, weights, average, output: times(w_o, average) };
}

/** A number with no more decimals than it needs, and no more than fit: 0.5, 3.44, 16.9, 155. */
function short(x) {
  const most = Math.abs(x) < 10 ? 2 : Math.abs(x) < 100 ? 1 : 0;
  const needed = (String(Number(x.toFixed(most))).split(".")[1] ?? "").length;
  return signed(x, needed);
}
const weightText = (weight) => weight.toFixed(3);

// ---------------------------------------------------------------- sums, written out

const colour = (kind, ...text) => h("span", { class: kind && `of-${kind}` }, ...text);
const factor = (kind, text) => colour(kind, text.startsWith("\u2212") ? `(${text})` : text);
const read = (text) => Number(text.replace("\u2212", "-"));
/** Whether the numbers are no longer than what is shown of them. */
const whole = (numbers, toText = short) => numbers.every((x) => read(toText(x)) === x);
/** `= 3`, or `≈ 0.33` where the number, or one that it is made from, is longer than is shown. */
const result = (x, exact, toText = short, kind = "") =>
  [exact && whole([x], toText) ? " = " : " \u2248 ", colour(kind, toText(x))];

/** The sum of the products of two lists, "1·2 + (−2)·(−1)"; each with its kind. */
function products([kindA, a, textA = short], [kindB, b]) {
  return a.flatMap((each, i) => [
    i ? " + " : "", factor(kindA, textA(each)), "\u00b7", factor(kindB, short(b[i])),
  ]);
}

/** The sums of a step, as pairs of a name and what it is: an array of nodes and strings. */
function working(step, state, { tokens, features, asks, found }) {
  const { query, keys, values, dots, scores, weights, average, output } = attend(state, asks);
  const name = (kind, word, of) => h("span", {}, colour(kind, word), ` of ${of}`);
  // Exact: what the reader can set are multiples of 1/4.
  const projected = (kind, matrix, vector, label) => matrix.map((row, r) => [r ? "" : label,
    [...products([kind, row], ["", vector]), ...result(dot(row, vector), true, short, kind)]]);
  switch (step) {
    case TOKENS:
      return [
        [tokens[asks], ["asks; choose another token to let it ask"]],
        ["numbers", ["choose one, and move the slider to change it"]],
        ["steps", [`choose one, or press Next: ${STEPS.length} steps lead from tokens to output`]],
      ];
    case PROJECT:
      return [
        ...projected("query", state.w_q, state.x[asks], name("query", "query", tokens[asks])),
        ...projected("key", state.w_k, state.x[found], name("key", "key", tokens[found])),
        ...projected("value", state.w_v, state.x[found], name("value", "value", tokens[found])),
      ];
    case SCORE: {
      const root = `\u221a${query.length}`;
      return tokens.map((token, j) => [token, [
        ...products(["query", query], ["key", keys[j]]),
        ...result(dots[j], whole([...query, ...keys[j]])),
        `,  ${short(dots[j])} / ${root}`, ...result(scores[j], whole([dots[j]])),
      ]]);
    }
    case SOFTMAX: {
      const exponentials = scores.map((score) => Math.exp(score));
      const sum = exponentials.reduce((a, b) => a + b);
      const power = (score) => ["e", h("sup", {}, short(score))];
      if (sum > 1e4) { // too long to be read as numbers
        return tokens.map((token, j) => [token,
          [...power(scores[j]), " / sum", ...result(weights[j], false, weightText)]]);
      }
      return [
        ...tokens.map((token, j) => [token, [
          ...power(scores[j]), ...result(exponentials[j], whole([scores[j]])),
          `,  ${short(exponentials[j])} / ${short(sum)}`,
          ...result(weights[j], whole([exponentials[j], sum]), weightText),
        ]]),
        ["sum", [exponentials.map((each) => short(each)).join(" + "),
          ...result(sum, whole(exponentials))]],
      ];
    }
    case AVERAGE:
      return average.map((o, a) => {
        const along = values.map((value) => value[a]);
        return [a ? "" : "average", [
          ...products(["", weights, weightText], ["value", along]),
          ...result(o, whole(weights, weightText) && whole(along), short, "value"),
        ]];
      });
    case OUTPUT: {
      const after = output.map((each, f) => state.x[asks][f] + each);
      return [
        ...output.map((o, f) => [features[f],
          [...products(["", state.w_o[f]], ["value", average]), ...result(o, whole(average))]]),
        ["residual", [`${tokens[asks]} + output ${whole([...output, ...after]) ? "=" : "\u2248"} `,
          `(${after.map((each) => short(each)).join(", ")})`]],
      ];
    }
  }
}

// ---------------------------------------------------------------- the picture

/** A cell of the picture: a list of numbers, which a step computes. */
function vector(kind, step, length, [stage, line]) {
  const parts = Array.from({ length }, () => h("data"));
  const node = h("div", {
    class: `vector ${kind}`, role: "img", style: `--stage: ${stage}; --place: ${line}`,
  }, ...parts);
  /** Show the numbers; one that has changed lights up. */
  const draw = (numbers, text, label, now) => {
    numbers.forEach((x, i) => {
      const before = parts[i].textContent;
      show(parts[i], x, text(x));
      if (before && before !== parts[i].textContent) flash(parts[i]);
    });
    node.classList.toggle("later", now < step);
    node.classList.toggle("now", now === step);
    node.setAttribute("aria-label", now < step ? `${label}: not computed yet`
      : `${label}: ${numbers.map(text).join(", ")}`);
  };
  return { node, draw };
}

const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
function flash(node) {
  if (!still()) node.animate([{ background: "var(--tint)" }, {}], MILLISECONDS);
}

/**
 * The lines between the cells of `flow`, measured where the cells are now: from left to right, or
 * on a narrow screen from top to bottom. Geometry is written once, in `main` (the way things flow)
 * and `cross`.
 */
function wires(flow) {
  const svg = s("svg", { class: "wires", "aria-hidden": "true" });
  let upright; // do things flow from top to bottom?
  const measure = (node, frame) => {
    const box = node.getBoundingClientRect();
    const scale = frame.width / flow.offsetWidth || 1; // of a slide, which scales the wires too
    const across = [box.left, box.right].map((x) => (x - frame.left) / scale);
    const along = [box.top, box.bottom].map((y) => (y - frame.top) / scale);
    const [main, cross] = upright ? [along, across] : [across, along];
    return { from: main[0], to: main[1], low: cross[0], high: cross[1], middle: (cross[0] + cross[1]) / 2 };
  };
  const point = (main, cross) => (upright ? `${cross} ${main}` : `${main} ${cross}`);
  const curve = (a, b, c, d) => `M${point(...a)}C${point(...b)} ${point(...c)} ${point(...d)}`;

  const shapes = {
    /** From the end of a cell to the beginning of another further on. */
    onward: (a, b) => {
      const half = (a.to + b.from) / 2;
      return curve([a.to, a.middle], [half, a.middle], [half, b.middle], [b.from, b.middle]);
    },
    /** Along the side of the row, past all that stands in it. */
    past: (a, b) => {
      const lane = a.high + 5;
      const turn = 14;
      return `M${point(a.to, a.middle)}C${point(a.to + turn, a.middle)} ${point(a.to, lane)} ` +
        `${point(a.to + turn, lane)}L${point(b.from - turn, lane)}` +
        `C${point(b.from, lane)} ${point(b.from - turn, b.middle)} ${point(b.from, b.middle)}`;
    },
    /** Out of the end of a cell and back into the end of another in the same column. */
    round: (a, b) => {
      const out = Math.max(a.to, b.to) + 14 + (b.middle - a.middle) / 5;
      return curve([a.to, a.middle], [out, a.middle], [out, b.middle], [b.to, b.middle]);
    },
    /** Back, against the way things flow. */
    back: (a, b) => `M${point(a.from, a.middle)}L${point(b.to, b.middle)}`,
  };

  /** Draw the wires up to a step: `[step, shape, from, to, kind, width]` each. */
  const draw = (all, step) => {
    const frame = flow.getBoundingClientRect();
    upright = getComputedStyle(flow).getPropertyValue("--upright").trim() === "1";
    fill(svg, { width: flow.offsetWidth, height: flow.offsetHeight }, []);
    svg.replaceChildren(...all.filter(([of]) => of <= step).map(([of, shape, a, b, kind, width]) =>
      s("path", {
        class: `${kind} ${of === step ? "now" : "before"}`, "stroke-width": width,
        d: shapes[shape](measure(a, frame), measure(b, frame)),
      })));
  };

  /** Send a bead along each wire of the step; where each arrives, numbers appear. */
  const run = () => {
    for (const bead of svg.querySelectorAll("circle")) bead.remove();
    if (still()) return;
    for (const path of svg.querySelectorAll("path.now")) {
      const length = path.getTotalLength();
      const kind = [...path.classList].find((name) => name !== "now");
      // Area, not radius, is proportional to the width.
      const width = Number(path.getAttribute("stroke-width"));
      const bead = s("circle", { class: kind, r: 3 * Math.sqrt(width) });
      svg.append(bead);
      const stops = Array.from({ length: 25 }, (_, i) => path.getPointAtLength((i / 24) * length));
      bead.animate(
        stops.map(({ x, y }) => ({ transform: `translate(${x}px, ${y}px)` })),
        { duration: MILLISECONDS, easing: "ease-in-out" },
      ).finished.then(() => bead.remove(), () => bead.remove());
    }
    for (const cell of flow.querySelectorAll(".vector.now > data")) {
      cell.animate([{ opacity: 0 }, { opacity: 0, offset: 0.7 }, { opacity: 1 }], MILLISECONDS);
    }
  };
  return { svg, draw, run };
}

function render({ model, el }) {
  const tokens = model.get("tokens");
  const features = model.get("features");
  const [dK, dV] = [model.get("w_q").length, model.get("w_v").length];
  const numbers = ["x", "w_q", "w_k", "w_v", "w_o"];
  const traits = [...numbers, "asks", "step"];
  const set = (trait, value) => {
    model.set(trait, value);
    model.save_changes();
    announce.later();
  };

  // ---- numbers that the reader changes: choose one, then move the slider
  const entries = numbers.flatMap((trait) => model.get(trait).flatMap((row, i) => row.map((_, j) => {
    const name = trait === "x" ? `${features[j]} of ${tokens[i]}`
      : `${trait.replace("w", "W")}, row ${i + 1}` + (row.length > 1 ? `, column ${j + 1}` : "");
    const input = h("input", {
      type: "radio", name: "number", value: `${trait} ${i} ${j}`,
      onchange: () => {
        chosen = entry;
        draw();
      },
    });
    const text = h("data");
    const entry = { trait, i, j, name, input, text, node: h("label", { class: "entry" }, input, text) };
    return entry;
  })));
  const entriesOf = (trait, i) => entries.filter((each) => each.trait === trait && each.i === i);
  const last = entriesOf("x", model.get("asks"));
  let chosen = last[Math.min(1, last.length - 1)];
  const slider = h("input", {
    type: "range", min: -LIMIT, max: LIMIT, step: GRID, class: "chosen",
    oninput: () => set(chosen.trait, model.get(chosen.trait).map((row, i) => (i === chosen.i
      ? row.map((each, j) => (j === chosen.j ? Number(slider.value) : each)) : row))),
  });
  const chosenName = h("span");
  const chosenNumber = h("data", { class: "number" });

  // ---- who asks, and how far the reader has come
  const asking = tokens.map((token, i) => h("input", {
    type: "radio", name: "asks", value: i, "aria-label": `${token} asks`,
    onchange: () => {
      set("asks", i);
      lines.run();
    },
  }));
  const goTo = (step) => {
    set("step", step);
    lines.run();
  };
  const steps = STEPS.map((name, i) =>
    h("input", { type: "radio", name: "step", value: i + 1, onchange: () => goTo(i + 1) }));

  // ---- the picture: a stage is a column and a token a row, on narrow screens the other way round
  const [WORD, X, KEY, SCORES, WEIGHTS, VALUE] = [1, 2, 3, 4, 5, 6];
  const [HEAD, QUERY, FIRST, END] = [1, 2, 3, 3 + tokens.length];
  const label = (stage, line, kind, ...text) =>
    h("div", { class: `label ${kind}`, style: `--stage: ${stage}; --place: ${line}` }, ...text);
  const words = tokens.map((token, i) => h("label", {
    class: "word", style: `--stage: ${WORD}; --place: ${FIRST + i}`,
  }, asking[i], h("span", {}, token)));
  const xs = tokens.map((_, i) => h("div", {
    class: "vector x", style: `--stage: ${X}; --place: ${FIRST + i}`,
  }, ...entriesOf("x", i).map(({ node }) => node)));
  const column = (kind, step, length, stage) =>
    tokens.map((_, j) => vector(kind, step, length, [stage, FIRST + j]));
  const query = vector("query", PROJECT, dK, [KEY, QUERY]);
  const keys = column("key", PROJECT, dK, KEY);
  const scores = column("score", SCORE, 1, SCORES);
  const weights = column("weight", SOFTMAX, 1, WEIGHTS);
  const values = column("value", PROJECT, dV, VALUE);
  const average = vector("average", AVERAGE, dV, [VALUE, END]);
  const output = vector("output", OUTPUT, features.length, [X, END]);
  const asksLabel = label(X, QUERY, "asks of-query");
  const outputLabel = label(WORD, END, "ends");
  const flow = h("div", { class: "flow", role: "group", "aria-label": "One head" });
  const lines = wires(flow);
  flow.append(lines.svg,
    h("div", { class: "vector names", style: `--stage: ${X}; --place: ${HEAD}` },
      ...features.map((name) => h("span", {}, name))),
    label(KEY, HEAD, "stage of-key", "key"), label(SCORES, HEAD, "stage", "score"),
    label(WEIGHTS, HEAD, "stage", "weight"), label(VALUE, HEAD, "stage of-value", "value"),
    asksLabel, query.node,
    ...tokens.flatMap((_, j) =>
      [words[j], xs[j], keys[j].node, scores[j].node, weights[j].node, values[j].node]),
    label(SCORES, END, "sum", "W", h("sub", {}, "o")), label(WEIGHTS, END, "sum", "average"), average.node, outputLabel, output.node);

  // ---- the matrices
  const matrices = ["q", "k", "v", "o"].map((kind, n) => {
    const trait = `w_${kind}`;
    const rows = model.get(trait);
    const of = ["query", "key", "value", "output"][n];
    return {
      step: kind === "o" ? OUTPUT : PROJECT,
      node: h("div", { class: `matrix of-${of}`, role: "group", "aria-label": `W_${kind}` },
        h("span", { "aria-hidden": "true" }, "W", h("sub", {}, kind)),
        h("div", { class: "entries", style: `--columns: ${rows[0].length}` },
          ...rows.flatMap((_, i) => entriesOf(trait, i).map(({ node }) => node)))),
    };
  });

  const sums = h("dl", { class: "sums" });
  const summary = () => {
    const step = model.get("step");
    const rows = [...sums.children].map((row) => row.textContent).join("; ");
    return `Step ${step} of ${STEPS.length}, ${STEPS[step - 1]}. ` +
      `${tokens[model.get("asks")]} asks. ${rows}.`;
  };
  const announce = announcer(summary);

  const walk = limitedButtons(model, "step", {
    limits: (step) => `Step ${step} of ${STEPS.length}`,
    fits: (step) => step >= 1 && step <= STEPS.length,
    changed: () => lines.run(),
  }, announce, [["Back", (step) => step - 1], ["Next", (step) => step + 1]]);
  const [back, next] = walk.nodes;
  next.classList.add("next");

  const wire = () => {
    const asks = model.get("asks");
    const share = attend(state(), asks).weights;
    const thick = (j) => 0.75 + 7 * share[j];
    const each = (make) => tokens.map((_, j) => make(j));
    lines.draw([
      ...each((j) => [PROJECT, "past", xs[j], values[j].node, "value", 1.5]),
      ...each((j) => [PROJECT, "onward", xs[j], keys[j].node, "key", 1.5]),
      [PROJECT, "onward", xs[asks], query.node, "query", 1.5],
      ...each((j) => [SCORE, "onward", keys[j].node, scores[j].node, "key", 1.5]),
      ...each((j) => [SCORE, "onward", query.node, scores[j].node, "query", 1.5]),
      ...each((j) => [SOFTMAX, "onward", scores[j].node, weights[j].node, "ink", 1.5]),
      ...each((j) => [AVERAGE, "onward", weights[j].node, values[j].node, "ink", thick(j)]),
      ...each((j) => [AVERAGE, "round", values[j].node, average.node, "value", thick(j)]),
      [OUTPUT, "back", average.node, output.node, "ink", 1.5],
    ], model.get("step"));
  };
  const state = () => Object.fromEntries(numbers.map((trait) => [trait, model.get(trait)]));

  const draw = () => {
    const [asks, step] = [model.get("asks"), model.get("step")];
    const head = attend(state(), asks);
    // The sums of one key and one value stand for all: those of the token whose number the reader
    // has chosen, or else of the one that is found.
    const found = chosen.trait === "x" && chosen.i !== asks
      ? chosen.i : head.weights.indexOf(Math.max(...head.weights));

    for (const { trait, i, j, name, input, text } of entries) {
      const number = model.get(trait)[i][j];
      show(text, number, short(number));
      input.setAttribute("aria-label", `${name}: ${short(number)}`);
    }
    chosen.input.checked = true;
    const number = model.get(chosen.trait)[chosen.i][chosen.j];
    slider.value = number;
    slider.setAttribute("aria-label", chosen.name);
    slider.setAttribute("aria-valuetext", short(number));
    chosenName.textContent = chosen.name;
    show(chosenNumber, number, short(number));

    asking[asks].checked = true;
    steps[step - 1].checked = true;
    next.textContent = step < STEPS.length ? `Next: ${STEPS[step].toLowerCase()}` : "Next";
    walk.draw();
    asksLabel.textContent = `query of \u201c${tokens[asks]}\u201d`;
    outputLabel.textContent = `output for \u201c${tokens[asks]}\u201d`;
    query.draw(head.query, short, `query of ${tokens[asks]}`, step);
    tokens.forEach((token, j) => {
      words[j].classList.toggle("asker", j === asks);
      keys[j].draw(head.keys[j], short, `key of ${token}`, step);
      scores[j].draw([head.scores[j]], short, `score of ${token}`, step);
      weights[j].draw([head.weights[j]], weightText, `weight of ${token}`, step);
      weights[j].node.style.setProperty("--share", step < SOFTMAX ? 0 : head.weights[j]);
      values[j].draw(head.values[j], short, `value of ${token}`, step);
    });
    average.draw(head.average, short, "average of the values", step);
    output.draw(head.output, short, `output for ${tokens[asks]}`, step);
    for (const matrix of matrices) matrix.node.classList.toggle("now", matrix.step === step);
    sums.replaceChildren(...working(step, state(), { tokens, features, asks, found })
      .map(([name, what]) => h("div", {}, h("dt", {}, name), h("dd", {}, ...what))));
    wire();
  };

  const remove = stage(model, el, traits, [
    h("div", { class: "controls walk" },
      h("div", { class: "segments", role: "radiogroup", "aria-label": "Step" },
        ...STEPS.map((name, i) => h("label", {}, steps[i], name))),
      h("div", { class: "buttons" }, back, next), walk.note),
    flow,
    sums,
    h("div", { class: "matrices" }, ...matrices.map(({ node }) => node)),
    h("div", { class: "controls" },
      h("label", { class: "slider" }, chosenName, slider, chosenNumber),
      h("span", { class: "last" }, resetButton(model, [...numbers, "asks"], announce.later))),
    announce.node,
  ], draw);

  const resized = new ResizeObserver(wire);
  resized.observe(flow);
  document.fonts.ready.then(wire);
  // In the page's text, a word in the colour of the query, the key or the value shows its part.
  const point = (event) => {
    const word = event.target.closest?.(".attn-q, .attn-k, .attn-v");
    const kind = ["query", "key", "value"].find((name) => word?.classList.contains(`attn-${name[0]}`));
    flow.parentNode.dataset.shown = kind ?? "";
  };
  document.addEventListener("pointerover", point);
  document.addEventListener("focusin", point);
  return () => {
    document.removeEventListener("pointerover", point);
    document.removeEventListener("focusin", point);
    resized.disconnect();
    announce.stop();
    remove();
  };
}

export default { render };
