const SIDE = 320; // of the plane, in CSS pixels
const MARGIN = 30; // room for a label beyond the outermost point
const STEP = 0.05; // to which a drag is rounded, so that a column can be put exactly on an axis
const IDENTITY = [[1, 0], [0, 1]];
const STRETCHED = [[1.5, 0], [0, 0.4]];
const FLAT = [[1.2, -0.6], [0.6, -0.3]]; // both columns on one line: rank 1

const dot = (a, b) => a[0] * b[0] + a[1] * b[1];
const column = (W, c) => [W[0][c], W[1][c]];
const withColumn = (W, c, image) => W.map((row, r) => row.map((w, k) => (k === c ? image[r] : w)));
const rounded = (x, unit) => Math.round(x / unit) * unit + 0; // + 0: no minus zero
const exact = (x) => Number(x.toFixed(9)); // rounding errors of twentieths pile up

/** Wx, divided by its length where the scores are cosines; a zero vector stays zero. */
function projected(W, x, normalised) {
  const q = W.map((row) => dot(row, x));
  const length = normalised ? Math.hypot(...q) || 1 : 1;
  return q.map((part) => part / length);
}

/** The index of the largest score in row i; i itself where none is truly larger. */
function preferred(row, i) {
  let best = i;
  row.forEach((score, j) => { if (score > row[best] + 1e-9) best = j; });
  return best;
}

/** How much of the line from `a` to `b` lies within a box, in pixels. */
function lengthWithin([left, top, right, bottom], [a, b]) {
  let [from, to] = [0, 1]; // the part of the line between all four sides
  for (const [low, start, end, high] of [[left, a[0], b[0], right], [top, a[1], b[1], bottom]]) {
    const step = end - start;
    if (step === 0) {
      if (start < low || start > high) return 0;
      continue;
    }
    const [enter, leave] = [(low - start) / step, (high - start) / step].sort((p, q) => p - q);
    [from, to] = [Math.max(from, enter), Math.min(to, leave)];
  }
  return Math.max(0, to - from) * Math.hypot(b[0] - a[0], b[1] - a[1]);
}

/**
 * Put each label on the first of its places that is free, or else on the least crowded one.
 * `labels` are `{ text, at, places }`: places are offsets `[dx, dy, anchor]` from `at`, in pixels
 * of the picture; `marks` are the points that no label should cover, and `lines`, each from a point
 * to a point, are what should strike through none.
 */
function putLabels(labels, marks, lines) {
  const half = 8; // of a mark's width and height
  const taken = marks.map(([x, y]) => [x - half, y - half, x + half, y + half]);
  const overlap = (a, b) => Math.max(0, Math.min(a[2], b[2]) - Math.max(a[0], b[0])) *
    Math.max(0, Math.min(a[3], b[3]) - Math.max(a[1], b[1]));
  for (const { text, at: [x, y], places } of labels.filter((label) => label.text.textContent)) {
    const width = 6.3 * text.textContent.length;
    const tried = places.map(([dx, dy, anchor]) => {
      const left = x + dx - { start: 0, middle: width / 2, end: width }[anchor];
      const box = [left, y + dy - 11, left + width, y + dy + 3];
      const outside = Math.max(0, -box[0], box[2] - SIDE);
      const struck = lines.reduce((sum, line) => sum + lengthWithin(box, line), 0);
      const crowded = taken.reduce((sum, other) => sum + overlap(box, other), 20 * outside + 12 * struck);
      return { box, crowded, x: x + dx, y: y + dy, anchor };
    });
    const best = tried.reduce((a, b) => (b.crowded < a.crowded - 1 ? b : a));
    taken.push(best.box);
    fill(text, { x: best.x, y: best.y, "text-anchor": best.anchor }, []);
  }
}

function render({ model, el }) {
  const [tokens, labels, features, limit] =
    ["tokens", "labels", "features", "limit"].map((trait) => model.get(trait));
  const n = tokens.length;
  const traits = ["W", "normalised", "pair"];
  const pairs = labels.flatMap((_, i) => labels.slice(i + 1).map((_, k) => [i, i + 1 + k]));
  const set = (trait, value) => {
    model.set(trait, value);
    model.save_changes();
    announce.later();
  };

  // ---- the plane: it holds every place that a token or a handle can reach
  const reach = limit * Math.max(1, ...tokens.map(([x, y]) => Math.abs(x) + Math.abs(y)));
  const scale = (SIDE / 2 - MARGIN) / reach;
  const place = ([x, y]) => [SIDE / 2 + x * scale, SIDE / 2 - y * scale];
  const put = (node, point) => node.setAttribute("transform", `translate(${place(point)})`);
  const join = (line, from, to) => {
    const [[x1, y1], [x2, y2]] = [place(from), place(to)];
    for (const [name, value] of Object.entries({ x1, y1, x2, y2 })) line.setAttribute(name, value);
  };

  const dots = labels.map(() => ({
    trail: s("line", { class: "trail" }),
    text: s("text", { class: "of-token" }),
    // Half query, half key: one matrix makes both.
    node: s("g", { class: "projected" },
      s("path", { class: "as-query", d: "M0-6A6 6 0 0 0 0 6Z" }),
      s("path", { class: "as-key", d: "M0-6A6 6 0 0 1 0 6Z" })),
  }));
  const step = s("line", { class: "pair-line" });
  const circle = s("circle", { class: "unit", cx: SIDE / 2, cy: SIDE / 2, r: scale });

  const moveColumn = (c, image) => {
    const kept = image.map((w) => exact(Math.min(limit, Math.max(-limit, w))));
    if (kept.join() !== column(model.get("W"), c).join()) set("W", withColumn(model.get("W"), c, kept));
  };
  const handles = features.map((feature, c) => {
    const node = s("g", {
      class: "drag", role: "slider", tabindex: 0, "aria-label": `image of the axis “${feature}”`,
      "aria-valuemin": -limit, "aria-valuemax": limit,
      onkeydown: (event) => {
        const [x, y] = column(model.get("W"), c);
        const by = event.shiftKey ? 0.5 : 0.1;
        const target = {
          ArrowLeft: [x - by, y], ArrowRight: [x + by, y],
          ArrowDown: [x, y - by], ArrowUp: [x, y + by], Home: [0, 0],
        }[event.key];
        if (!target || event.ctrlKey || event.metaKey || event.altKey) return;
        event.preventDefault();
        moveColumn(c, target);
      },
    }, s("circle", { class: "grip", r: 15 }), s("circle", { class: "ring-of-focus", r: 12 }),
    s("rect", { x: -6, y: -6, width: 12, height: 12, rx: 2 }));
    draggable(node, (event) => {
      const [right, down] = pointerOn(picture, event);
      moveColumn(c, [
        rounded(((right - 0.5) * SIDE) / scale, STEP),
        rounded(((0.5 - down) * SIDE) / scale, STEP),
      ]);
    });
    return { node, arm: s("line", { class: "arm" }), text: s("text", { class: "axis-name" }, feature) };
  });
  const picture = s("svg", {
    class: "columns", viewBox: `0 0 ${SIDE} ${SIDE}`, width: SIDE, role: "group",
    "aria-label": `The plane of the projected tokens ${labels.join(", ")}, with two handles: ` +
      "the columns of W",
  },
  s("path", { class: "cross", d: `M0 ${SIDE / 2}H${SIDE}M${SIDE / 2} 0V${SIDE}` }), circle,
  ...tokens.map((x) => {
    const ring = s("circle", { class: "origin", r: 4 });
    put(ring, x);
    return ring;
  }),
  ...dots.map(({ trail }) => trail), step, ...handles.map(({ arm }) => arm),
  ...dots.map(({ node }) => node), ...handles.map(({ node }) => node),
  ...[...dots, ...handles].map(({ text }) => text));

  // ---- the tables
  const scoreTable = numberTable(labels, "Scores: the row\u2019s q \u00b7 the column\u2019s q");
  const weightTable = numberTable(labels, "Weights: softmax of each row");
  let chosen; // row and column of the cell that was clicked last
  const answer = h("div", { class: "caption answer" });
  const choose = (i, j) => {
    chosen = [i, j];
    if (i !== j) {
      model.set("pair", [Math.min(i, j), Math.max(i, j)]);
      model.save_changes();
    }
    draw();
    announce.say(answer.textContent);
  };
  for (const { cells } of [scoreTable, weightTable]) {
    cells.forEach((row, i) => row.forEach((cell, j) => cell.addEventListener("click", () => choose(i, j))));
  }

  // ---- controls
  const entries = IDENTITY.map((row) => row.map(() => h("data", { class: "number" })));
  const normalised = h("input", {
    type: "checkbox", onchange: () => set("normalised", normalised.checked),
  });
  const pairSlider = h("input", {
    type: "range", min: 0, max: pairs.length - 1, step: 1, "aria-label": "pair of tokens",
    oninput: () => {
      chosen = undefined;
      set("pair", pairs[Number(pairSlider.value)]);
    },
  });

  // ---- read-outs
  const selfWins = h("data", { class: "self-wins" });
  const exceptions = h("span", { class: "caption exceptions" });
  const mutual = h("data", { class: "mutual" });
  const scoreGap = h("data", { class: "score-gap" });
  const weightGap = h("data", { class: "weight-gap" });
  const pairName = h("strong");
  const sum = h("span", { class: "sum-of-pair" });
  const distance = h("data", { class: "distance" });
  const preferences = h("span", { class: "caption preferences" });
  const announce = announcer(() =>
    `Self wins in ${selfWins.textContent} of ${n} rows. Pairs that prefer each other over ` +
    `themselves: ${mutual.textContent} of ${pairs.length}.`);
  const buttons = limitedButtons(model, "W", {
    limits: () => `The numbers of W stay between \u2212${limit} and ${limit}`,
    fits: (W) => W.flat().every((w) => Math.abs(w) <= limit),
  }, announce, [
    ["Identity", () => IDENTITY],
    ["Stretch", () => STRETCHED],
    ["Flatten onto one line", () => FLAT],
    ["Double every score", (W) => W.map((row) => row.map((w) => exact(w * Math.SQRT2)))],
  ]);

  const draw = () => {
    const W = model.get("W");
    const q = tokens.map((x) => projected(W, x, model.get("normalised")));
    const scores = q.map((a) => q.map((b) => dot(a, b)));
    const weights = scores.map((row) => [...softmax(row, 1)]);
    const best = scores.map(preferred);
    const pair = model.get("pair");
    const [i, j] = pair;
    // A pair that was set in another way is not what the reader chose by a cell.
    if (chosen && !chosen.every((k) => pair.includes(k)) && chosen[0] !== chosen[1]) chosen = undefined;

    circle.style.display = model.get("normalised") ? "" : "none";
    dots.forEach(({ node, trail, text }, k) => {
      put(node, q[k]);
      join(trail, tokens[k], q[k]);
      text.textContent = "";
    });
    // Where tokens fall together, one of them carries the names of all.
    labels.forEach((label, k) => {
      const first = q.findIndex((other) => Math.hypot(other[0] - q[k][0], other[1] - q[k][1]) * scale < 12);
      dots[first].text.append(dots[first].text.textContent ? `, ${label}` : label);
    });
    join(step, q[i], q[j]);
    handles.forEach(({ node, arm }, c) => {
      const image = column(W, c);
      put(node, image);
      join(arm, [0, 0], image);
      node.setAttribute("aria-valuenow", image[0]);
      node.setAttribute("aria-valuetext", `at ${image.map((w) => signed(w, 2)).join(", ")}`);
    });
    const sides = ([x, y], [below, right]) => {
      const [low, high] = [[0, below, "middle"], [0, -10, "middle"]];
      const [after, before] = [[right, 4, "start"], [-right, 4, "end"]];
      const [across, along] = [x >= 0 ? [after, before] : [before, after], y < 0 ? [low, high] : [high, low]];
      const beside = [after, before].flatMap(([dx, , anchor]) =>
        [[dx, below - 4, anchor], [dx, -8, anchor], [0, below - 4, anchor], [0, -12, anchor],
          [2 * dx, 4, anchor], [dx, below + 8, anchor], [dx, -20, anchor]]);
      return { across, along, beside };
    };
    putLabels([
      ...dots.map(({ text }, k) => {
        const { across, along, beside } = sides(q[k], [20, 10]);
        return { text, at: place(q[k]), places: [...along, ...across, ...beside] };
      }),
      ...handles.map(({ text }, c) => {
        const { across, along, beside } = sides(column(W, c), [22, 12]);
        return { text, at: place(column(W, c)), places: [...across, ...along, ...beside] };
      }),
    ], [...q, ...handles.map((_, c) => column(W, c))].map(place),
    [...handles.map((_, c) => [[0, 0], column(W, c)]), [q[i], q[j]]].map((ends) => ends.map(place)));
    entries.forEach((row, r) => row.forEach((data, c) => show(data, W[r][c], signed(W[r][c], 2))));

    const largest = Math.max(...scores.flat().map(Math.abs)) || 1;
    answer.textContent = "Click a cell to choose its pair.";
    if (chosen) {
      const [a, b] = chosen;
      answer.textContent = `You chose row ${labels[a]}, column ${labels[b]}: score ` +
        `${signed(scores[a][b], 2)}, weight ${weights[a][b].toFixed(2)}. ` +
        (a === b ? "A token makes no pair with itself." : "Their pair is framed, and below.");
    }
    labels.forEach((_, a) => labels.forEach((__, b) => {
      scoreTable.set(a, b, scores[a][b], signed(scores[a][b], 2), scores[a][b] / largest);
      weightTable.set(a, b, weights[a][b], weights[a][b].toFixed(2), weights[a][b]);
      for (const { cells } of [scoreTable, weightTable]) {
        cells[a][b].classList.toggle("wins", best[a] === b);
        cells[a][b].classList.toggle("of-pair", pair.includes(a) && pair.includes(b));
        cells[a][b].classList.toggle("chosen", chosen?.[0] === a && chosen[1] === b);
      }
    }));

    const others = labels.flatMap((label, b) => {
      const who = labels.filter((_, k) => k !== b && best[k] === b);
      return who.length ? [`${listed(who)} ${who.length === 1 ? "prefers" : "prefer"} ${label}`] : [];
    });
    const wins = best.filter((b, k) => b === k).length;
    show(selfWins, wins, String(wins));
    const ties = scores.filter((row, a) => best[a] === a &&
      row.some((score, b) => b !== a && score > row[a] - 1e-9)).length;
    exceptions.textContent = [
      others.length ? others.join(", ") : ties ? "nobody prefers another" : "everyone prefers itself",
      ...(ties ? [`ties in ${ties} ${ties === 1 ? "row" : "rows"}, which count for self`] : []),
    ].join("; ");
    const prefers = (a, b) => scores[a][b] > scores[a][a] + 1e-9;
    const both = pairs.filter(([a, b]) => prefers(a, b) && prefers(b, a)).length;
    show(mutual, both, String(both));
    const gap = (table) => Math.max(...pairs.map(([a, b]) => Math.abs(table[a][b] - table[b][a])));
    show(scoreGap, gap(scores), digits(gap(scores)));
    show(weightGap, gap(weights), digits(gap(weights)));

    const between = Math.hypot(q[i][0] - q[j][0], q[i][1] - q[j][1]) ** 2;
    pairName.textContent = `${labels[i]} and ${labels[j]}`;
    const shared = signed(scores[i][j], 2);
    sum.textContent = `${signed(scores[i][i], 2)} + ${signed(scores[j][j], 2)} − 2 · ` +
      `${scores[i][j] < 0 ? `(${shared})` : shared} = `;
    show(distance, between, between.toFixed(2));
    preferences.textContent = [[i, j], [j, i]].map(([a, b]) =>
      `${labels[a]} ${prefers(a, b) ? "prefers" : "does not prefer"} ${labels[b]} to itself`).join("; ");

    normalised.checked = model.get("normalised");
    pairSlider.value = pairs.findIndex((each) => each.join() === pair.join());
    pairSlider.setAttribute("aria-valuetext", pairName.textContent);
    buttons.draw();
  };

  const remove = stage(model, el, traits, [
    h("div", { class: "projection" },
      picture,
      h("div", { class: "settings" },
        h("div", { class: "matrix" }, h("span", {}, "W ="),
          h("div", { class: "entries" }, ...entries.flat())),
        h("div", { class: "controls buttons" },
          ...buttons.nodes, resetButton(model, traits, () => announce.later())),
        buttons.note,
        h("label", { class: "check" }, normalised, "divide by the lengths (cosine)"),
        h("dl", { class: "readouts in-one-column", style: "--columns: 1" },
          h("div", {}, h("dt", {}, "Self wins in"),
            h("dd", {}, h("strong", {}, selfWins, ` of ${n} rows`), h("br"), exceptions)),
          h("div", {}, h("dt", {}, "Pairs that prefer each other over themselves"),
            h("dd", {}, h("strong", {}, mutual, ` of ${pairs.length}`))),
          h("div", {}, h("dt", {}, "Largest difference across the diagonal"),
            h("dd", {}, "scores ", h("strong", {}, scoreGap), ", weights ",
              h("strong", {}, weightGap)))))),
    h("div", { class: "squares" }, scoreTable.node, weightTable.node),
    h("div", { class: "caption" },
      "A row asks, a column is asked. Underlined: the largest of its row. Framed: the pair below."),
    answer,
    h("dl", { class: "readouts of-one-pair" },
      h("div", {},
        h("dt", {}, h("label", { class: "temperature pair" }, h("span", {}, "Pair"), pairSlider, pairName)),
        h("dd", {}, sum, h("strong", {}, distance), ", the squared length of the line",
          h("br"), preferences))),
    announce.node,
  ], draw);
  return () => {
    announce.stop();
    remove();
  };
}

export default { render };
