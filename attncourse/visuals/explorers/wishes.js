const [MIN_TOKENS, MAX_TOKENS] = [2, 8];
const NAMES = ["Ann", "Ben", "Cleo", "Dan", "Eve", "Finn", "Gina", "Hugo"]; // initials differ
const DRAWINGS = {
  "Rock, paper, scissors": { rock: "scissors", paper: "rock", scissors: "paper" },
  "A couple": { Ann: "Ben", Ben: "Ann", Cleo: "Ann" },
  "A chain": { Ann: null, Ben: "Ann", Cleo: "Ben", Dan: "Cleo", Eve: "Dan" },
  "A family tree": { // in the order in which no two arrows cross
    Ann: null, Ben: "Ann", Dan: "Ben", Eve: "Ben", Finn: "Cleo", Gina: "Cleo", Cleo: "Ann",
  },
  "Two circles": { Ann: "Ben", Ben: "Cleo", Cleo: "Ann", Dan: "Eve", Eve: "Finn", Finn: "Dan" },
  "All at the first": { Ann: null, Ben: "Ann", Cleo: "Ann", Dan: "Ann", Eve: "Ann", Finn: "Ann" },
};
const MODES = ["shared", "separate"];
const CALLED = { shared: "one shared matrix", separate: "separate matrices" };

const [STEPS, RATE] = [300, 0.05];
const [DECAY_1, DECAY_2, EPSILON] = [0.9, 0.999, 1e-8]; // Adam's, as torch has them
const STEEP = 100; // the slope of the margin's objective where the lead is 0
const LEAD = 0.01; // by which a granted wish scores above all others
const MILLISECONDS = 8; // that a step is shown

const [WIDTH, HEIGHT] = [320, 260]; // of the drawing, in CSS pixels: it is never scaled
const [ACROSS, DOWN] = [116, 106]; // half axes of the ellipse on which the tokens lie
const MAP = { side: 168, gutter: 20 };
const READABLE = 28; // pixels that a cell needs to hold its number
const PLOT = { width: 330, left: 38, right: 8, top: 8, bottom: MAP.side - 22 };

// ---------------------------------------------------------------- the theorem

/** For each token the index of the one that it wishes for, or -1. */
const targetOf = (wishes) => {
  const names = Object.keys(wishes);
  return names.map((name) => names.indexOf(wishes[name]));
};

/** The closed circles of wishes that are in the way of one shared matrix, in the order of wishing. */
function circlesInTheWay(target, seeSelf) {
  const circles = [];
  const seen = new Set();
  for (let start = 0; start < target.length; start++) {
    const path = [];
    let token = start;
    while (token >= 0 && !seen.has(token)) {
      seen.add(token);
      path.push(token);
      token = target[token];
    }
    if (path.includes(token)) circles.push(path.slice(path.indexOf(token))); // else it ended
  }
  return circles.filter((circle) => circle.length >= (seeSelf ? 2 : 3));
}

/** All that attncourse/wishes.py says of a drawing, and whether it is exact for this d_k. */
function theoremOf({ target, seeSelf, dK, heads }) {
  const n = target.length;
  const wishes = target.filter((wish) => wish >= 0).length;
  const circles = circlesInTheWay(target, seeSelf);
  const inTheWay = heads > 1 ? [] : circles; // two heads give up different wishes of a circle
  const least = inTheWay.reduce(
    (sum, circle) => sum + circle.length * Math.log(seeSelf ? Math.min(circle.length, 3) : 2), 0);
  return {
    wishes,
    circles,
    inTheWay,
    most: { raw: n === 2 && !seeSelf ? wishes : 0, shared: wishes - inTheWay.length, separate: wishes },
    exact: { raw: true, shared: dK >= n, separate: dK >= Math.min(n, 2) },
    floor: least / wishes,
  };
}

// ---------------------------------------------------------------- the heads

/** Uniform numbers between -1 and 1 (mulberry32): the same as `start` in wishes.py draws. */
function uniform(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (2 * ((mixed ^ (mixed >>> 14)) >>> 0)) / 2 ** 32 - 1;
  };
}

/** What training changes: Adam on an array of numbers. */
function adam(numbers) {
  const [first, second] = [new Float64Array(numbers.length), new Float64Array(numbers.length)];
  let steps = 0;
  return (gradient) => {
    steps += 1;
    const rate = RATE / (1 - DECAY_1 ** steps);
    const root = Math.sqrt(1 - DECAY_2 ** steps);
    gradient.forEach((g, k) => {
      first[k] = DECAY_1 * first[k] + (1 - DECAY_1) * g;
      second[k] = DECAY_2 * second[k] + (1 - DECAY_2) * g * g;
      numbers[k] -= (rate * first[k]) / (Math.sqrt(second[k]) / root + EPSILON);
    });
  };
}

/**
 * One head on tokens that are one-hot: row i of `queries`, `[n, dK]`, is the query of token i, and a
 * shared matrix makes the keys the same numbers.
 */
class Head {
  constructor({ target, seeSelf, dK, objective }, draw, shared) {
    Object.assign(this, { target, seeSelf, dK, objective });
    const [queries, keys] = [0, 1].map(() =>
      Float64Array.from({ length: target.length * dK }, draw));
    this.queries = queries;
    this.keys = shared ? queries : keys;
    this.updates = [adam(this.queries), ...(shared ? [] : [adam(this.keys)])];
    this.look();
  }

  /** Scores, weights, leads and losses of the matrices as they are, where a token has a wish. */
  look() {
    const { target, dK, queries, keys } = this;
    this.scores = target.map((_, i) => target.map((_, j) => {
      if (i === j && !this.seeSelf) return -Infinity;
      let dot = 0;
      for (let k = 0; k < dK; k++) dot += queries[i * dK + k] * keys[j * dK + k];
      return dot / Math.sqrt(dK);
    }));
    this.weights = this.scores.map((row) => softmax(row, 1));
    this.rivals = this.scores.map((row, i) => row.reduce((best, score, j) =>
      (j !== target[i] && score > (row[best] ?? -Infinity) ? j : best), -1));
    this.leads = target.map((wish, i) => (wish < 0 ? NaN
      : this.rivals[i] < 0 ? Infinity : this.scores[i][wish] - this.scores[i][this.rivals[i]]));
    // A lead counts by its order of magnitude: to be far ahead is hardly better than to be ahead, so
    // that one wish which fails by far costs less than several that tie.
    this.losses = target.map(this.objective === "margin"
      ? (_, i) => (this.rivals[i] < 0 ? 0
        : -Math.sign(this.leads[i]) * Math.log1p(STEEP * Math.abs(this.leads[i])))
      : (wish, i) => -Math.log(this.weights[i][wish]));
  }

  /** The derivative by each score of the losses of these tokens, each times `share`. */
  slopes(tokens, share) {
    const slopes = this.scores.map((row) => row.map(() => 0));
    for (const i of tokens) {
      const wish = this.target[i];
      if (this.objective === "margin") {
        if (this.rivals[i] < 0) continue;
        const slope = (STEEP / (1 + STEEP * Math.abs(this.leads[i]))) * share;
        slopes[i][wish] -= slope;
        slopes[i][this.rivals[i]] += slope;
      } else {
        this.weights[i].forEach((weight, j) => {
          slopes[i][j] = (weight - (j === wish ? 1 : 0)) * share;
        });
      }
    }
    return slopes;
  }

  step(tokens, share) {
    const { dK, queries, keys } = this;
    const byQuery = new Float64Array(queries.length);
    const byKey = queries === keys ? byQuery : new Float64Array(keys.length);
    this.slopes(tokens, share).forEach((row, i) => row.forEach((slope, j) => {
      for (let k = 0; k < dK; k++) {
        byQuery[i * dK + k] += (slope * keys[j * dK + k]) / Math.sqrt(dK);
        byKey[j * dK + k] += (slope * queries[i * dK + k]) / Math.sqrt(dK);
      }
    }));
    const gradients = [byQuery, byKey];
    this.updates.forEach((update, which) => update(gradients[which]));
    this.look();
  }
}

/** One head, or two of which each wish is for the one that serves it better. */
class Layer {
  losses = []; // at the start, and after each step

  constructor(settings, shared) {
    const draw = uniform(settings.seed);
    this.heads = Array.from({ length: settings.heads }, () => new Head(settings, draw, shared));
    this.wishing = settings.target.flatMap((wish, i) => (wish < 0 ? [] : [i]));
    this.look();
  }

  look() {
    this.serving = this.wishing.map((i) => this.heads.reduce((best, head) =>
      (head.losses[i] < best.losses[i] ? head : best)));
    this.losses.push(this.wishing.reduce((sum, i, nth) => sum + this.serving[nth].losses[i], 0)
      / this.wishing.length);
  }

  /** For each token, whether a head grants its wish. */
  get granted() {
    return this.heads[0].leads.map((_, i) => this.heads.some((head) => head.leads[i] > LEAD));
  }

  step() {
    for (const head of this.heads) {
      head.step(this.wishing.filter((_, nth) => this.serving[nth] === head), 1 / this.wishing.length);
    }
    this.look();
  }
}

// ---------------------------------------------------------------- the drawing

/**
 * The tokens on an ellipse, which are pressed, dragged or chosen by key, and their wishes as arrows.
 * `wish(from, to)` is called with two tokens that the reader has named, `remove(from)` with one whose
 * wish is to go, `picked()` whenever the token that the reader has taken up is another one.
 */
function drawing({ wish, remove, picked }) {
  const lines = s("g", { "aria-hidden": "true" });
  const nodes = Array.from({ length: MAX_TOKENS }, (_, i) => {
    const ring = s("rect", { class: "ring-of-focus", rx: 10 });
    const box = s("rect", { class: "box", rx: 7 });
    const text = s("text");
    const node = s("g", {
      class: "token drag", role: "button", tabindex: i ? -1 : 0,
      onfocus: () => beStop(i),
      onkeydown: (event) => {
        if (event.ctrlKey || event.metaKey || event.altKey) return;
        const way = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
        if (way) nodes[(i + way + boxes.length) % boxes.length].node.focus();
        else if (event.key === "Enter" || event.key === " ") press(i);
        else if (event.key === "Delete" || event.key === "Backspace") remove(i);
        else if (event.key === "Escape") take(-1);
        else return;
        event.preventDefault();
      },
      // A screen reader clicks without a pointer.
      onclick: (event) => { if (event.detail === 0) press(i); },
      onpointerup: (event) => { if (held === i) drop(event); },
      onpointercancel: () => letGo(),
    }, ring, box, text);
    draggable(node, (event) => {
      held = i;
      follow(event);
    });
    node.addEventListener("pointerdown", (event) => { if (event.button === 0) held = i; });
    return { node, ring, box, text };
  });
  const rubber = s("path", { class: "rubber" });
  const svg = s("svg", {
    class: "tokens-and-wishes", width: WIDTH, height: HEIGHT, role: "group",
    "aria-label": "Tokens, each with the one that it wishes to look at",
  }, lines, rubber, ...nodes.map(({ node }) => node));
  let boxes = []; // of each token: { at, half }
  let taken = -1; // the token whose wish comes next
  let held = -1; // the token on which the pointer went down

  const take = (i) => {
    taken = i;
    picked();
  };
  const press = (i) => {
    if (taken < 0) return take(i);
    const from = taken;
    taken = -1;
    if (from === i) picked();
    else wish(from, i);
  };
  const beStop = (stop) => nodes.forEach(({ node }, i) =>
    node.setAttribute("tabindex", i === stop ? 0 : -1));
  /** Where the pointer is in the drawing, however the page may be scaled. */
  const placeOf = (event) => {
    const [right, down] = pointerOn(svg, event);
    return [right * WIDTH, down * HEIGHT];
  };
  const tokenAt = ([x, y]) => boxes.findIndex(({ at, half }) =>
    Math.abs(x - at[0]) <= half[0] + 6 && Math.abs(y - at[1]) <= half[1] + 6);
  const letGo = () => {
    held = -1;
    rubber.removeAttribute("d");
  };
  const follow = (event) => {
    const place = placeOf(event);
    if (tokenAt(place) === held) rubber.removeAttribute("d");
    else rubber.setAttribute("d", `M${boxes[held].at}L${place}`);
  };
  const drop = (event) => {
    const [from, to] = [held, tokenAt(placeOf(event))];
    letGo();
    if (to === from) press(from);
    else if (to < 0) take(from); // it has been taken up, and the other may still be pressed
    else {
      taken = -1;
      wish(from, to);
    }
  };

  return {
    svg,
    get taken() {
      return taken;
    },
    /** Forget what is half done: the tokens are others. */
    clear: () => {
      taken = -1;
      letGo();
    },
    draw: (names, target, lit, granted) => {
      const n = names.length;
      // The lowest of an odd number are not at the ellipse's foot: lower all until they are.
      const lowest = Math.cos((2 * Math.PI * Math.floor(n / 2)) / n);
      boxes = names.map((name, i) => {
        const angle = (2 * Math.PI * i) / n;
        const height = (2 * (Math.cos(angle) - lowest)) / (1 - lowest) - 1; // from -1 to 1
        return {
          at: [WIDTH / 2 + ACROSS * Math.sin(angle), HEIGHT / 2 - DOWN * height],
          half: [10 + 3.8 * name.length, 15],
        };
      });
      nodes.forEach(({ node, ring, box, text }, i) => {
        if (i >= n) return node.remove();
        if (!node.isConnected) svg.append(node);
        const { at: [x, y], half: [right, down] } = boxes[i];
        const around = (gap) => ({
          x: x - right - gap, y: y - down - gap, width: 2 * (right + gap), height: 2 * (down + gap),
        });
        fill(ring, around(4), []);
        fill(box, around(0), []);
        fill(text, { x, y }, []);
        text.textContent = names[i];
        node.classList.toggle("taken", taken === i);
        node.setAttribute("aria-pressed", String(taken === i));
        node.setAttribute("aria-label", target[i] < 0 ? `${names[i]}, wishes for nobody`
          : `${names[i]}, wishes for ${names[target[i]]}${granted?.[i] ? ", granted" : ""}`);
      });
      if (nodes.slice(n).some(({ node }) => node.tabIndex === 0)) beStop(0);
      lines.replaceChildren(...target.flatMap((to, from) => {
        if (to < 0) return [];
        const couple = target[to] === from;
        // Inwards, past the tokens between; in a couple one way has to lean out.
        const clockwise = (to - from + n) % n <= n / 2;
        const lean = couple ? 0.12 : clockwise ? -0.1 : 0.1;
        const { d, points } = arrowBetween(boxes[from], boxes[to], { lean, head: 11 });
        return [s("g", {
          class: `arrow${granted?.[from] ? " granted" : ""}`, "data-from": from, "data-to": to,
        }, ...(lit.has(from) ? [s("path", { class: "lit", d })] : []),
        s("path", { class: "line", d }), s("polygon", { points }))];
      }));
    },
  };
}

// ---------------------------------------------------------------- map and curve

/** The weights of one head: the row looks, the column is looked at; a frame marks each wish. */
function weightMap(mode, which) {
  const svg = s("svg", {
    class: "weight-map", width: MAP.side, height: MAP.side, role: "img",
    viewBox: `0 0 ${MAP.side} ${MAP.side}`,
  });
  return {
    svg,
    draw: (names, target, seeSelf, weights) => {
      const n = names.length;
      const cell = (MAP.side - MAP.gutter - 2) / n;
      const middle = (i) => MAP.gutter + (i + 0.5) * cell;
      const parts = names.flatMap((name, i) => [
        s("text", { class: "asks", x: MAP.gutter / 2, y: middle(i) }, name[0]),
        s("text", { class: "asked", x: middle(i), y: MAP.gutter / 2 }, name[0]),
        ...names.flatMap((_, j) => {
          const at = { x: MAP.gutter + j * cell + 1, y: MAP.gutter + i * cell + 1 };
          const masked = i === j && !seeSelf;
          const weight = weights ? weights[i][j] : 0;
          return [
            s("rect", {
              class: masked ? "masked" : "weight", ...at, width: cell - 2, height: cell - 2, rx: 2,
              style: `--heat: ${weight.toFixed(4)}`,
            }),
            masked && s("path", { class: "no", d: `M${at.x + 3} ${at.y + cell - 5}L${at.x + cell - 5} ${at.y + 3}` }),
            weights && !masked && cell >= READABLE
              && s("text", { class: "number", x: middle(j), y: middle(i) }, weight.toFixed(2)),
          ];
        }),
      ]);
      const frames = target.flatMap((to, i) => (to < 0 ? [] : [s("rect", {
        class: "frame", x: MAP.gutter + to * cell + 1, y: MAP.gutter + i * cell + 1,
        width: cell - 2, height: cell - 2, rx: 2,
      })]));
      svg.replaceChildren(...[...parts, ...frames].filter(Boolean));
      svg.setAttribute("aria-label", `Attention of ${CALLED[mode]}${which}: ` + (weights
        ? target.flatMap((to, i) => (to < 0 ? []
          : [`${names[i]} gives ${names[to]} ${weights[i][to].toFixed(2)}`])).join(", ")
        : "not trained yet"));
    },
  };
}

/** Loss against step, a line for each mode, and the floor where there is one to show. */
function curves() {
  const { width, left, bottom, top, right } = PLOT;
  const lines = Object.fromEntries(MODES.map((mode) => [mode, s("polyline", { class: mode })]));
  const floor = s("line", { class: "floor", x1: left, x2: width - right });
  const highest = s("text", { class: "tick", x: left - 5, y: top + 4 });
  const lowest = s("text", { class: "tick", x: left - 5, y: bottom });
  const zero = s("text", { class: "tick zero", x: left - 5 }, "0"); // where losses are below it too
  const level = s("line", { class: "axes", x1: left, x2: width - right });
  const svg = s("svg", {
    class: "curves", width, height: MAP.side, role: "img", viewBox: `0 0 ${width} ${MAP.side}`,
  },
    s("path", { class: "axes", d: `M${left} ${top}V${bottom}H${width - right}` }), level, highest,
    lowest, zero,
    s("text", { class: "from", x: left, y: bottom + 15 }, "0"),
    s("text", { class: "to", x: width - right, y: bottom + 15 }, `${STEPS} steps`),
    floor, ...Object.values(lines));
  return {
    svg,
    draw: (layers, least) => {
      const losses = Object.values(layers ?? {}).flatMap((layer) => layer.losses);
      const most = Math.max(0.5, 1.15 * (least ?? 0), ...losses);
      const fewest = Math.min(0, ...losses);
      const y = (loss) => bottom - ((bottom - top) * (loss - fewest)) / (most - fewest);
      highest.textContent = signed(most, 1);
      lowest.textContent = fewest ? signed(fewest, 1) : "0";
      for (const mode of MODES) {
        lines[mode].setAttribute("points", (layers?.[mode].losses ?? [])
          .map((loss, step) => `${left + ((width - left - right) * step) / STEPS},${y(loss)}`).join(" "));
      }
      for (const each of [zero, level]) each.style.display = fewest ? "" : "none";
      fill(zero, { y: y(0) }, []);
      fill(level, { y1: y(0), y2: y(0) }, []);
      floor.style.display = least === undefined ? "none" : "";
      if (least !== undefined) fill(floor, { y1: y(least), y2: y(least) }, []);
      svg.setAttribute("aria-label", "Loss against step. " + (layers
        ? MODES.map((mode) => `${CALLED[mode]}: from ${layers[mode].losses[0].toFixed(3)} to ` +
          layers[mode].losses.at(-1).toFixed(3)).join("; ") + "."
        : "Not trained yet."));
    },
  };
}

// ---------------------------------------------------------------- what is said

const named = (circle, names) => (circle.length === 2
  ? circle.map((i) => names[i]).join(" \u21c4 ")
  : [...circle, circle[0]].map((i) => names[i]).join(" \u2192 "));

/** What the theorem says of the drawing, in sentences. */
function spoken({ circles }, names, { seeSelf, heads }) {
  const length = `${seeSelf ? "two" : "three"} or more`;
  const listed = circles.map((circle) => named(circle, names)).join("; ");
  return [
    seeSelf ? "Raw cosine: each token is most like itself."
      : names.length === 2 ? "Raw cosine: there is only one other to look at."
        : "Raw cosine: all others tie, and a tie grants nothing.",
    !circles.length ? `No circle of ${length} is in the way of one shared matrix.`
      : `In the way of one shared matrix: ${listed}. ` + (heads === 1
        ? `In each circle of ${length} one wish has to fail.`
        : `A head has to give up one wish in each circle of ${length}; two need not give up the same.`),
  ];
}

/** What to try where the head with one matrix has ended below what it can grant. */
function advice({ most, circles }, { objective, heads }) {
  const who = heads > 1 ? "Two heads, each with one shared matrix," : "One shared matrix";
  return `${who} could grant ${most.shared} here: ` + (
    objective === "margin" && !circles.length
      ? "no wish has to fail, so cross-entropy need not hedge. Try that."
      : objective === "margin" ? "try another start."
        : circles.length ? "cross-entropy hedges. Try the margin." : "try another start.");
}

/** What the curve shows, and how far it can fall. */
function loss(found, { objective, heads, speaks }) {
  if (objective === "margin") {
    return "mean of \u2213\u2009log(1\u00a0+\u00a0100\u2009|lead|), below 0 for a wish that is granted; " +
      "lead: its score less the best other";
  }
  const { wishes, floor, exact } = found;
  if (heads > 1) return "mean of \u2212log weight on the wish, by the head that gives it more";
  if (!speaks || wishes === 0) return "mean of \u2212log weight on the wish";
  if (floor === 0) return exact.shared ? "no floor but 0" : "no floor but 0 is known";
  return `dotted: one shared matrix cannot fall below ${floor.toFixed(3)}`;
}

// ---------------------------------------------------------------- all of it

function render({ model, el }) {
  const traits = ["wishes", "see_self", "d_k", "objective", "seed", "mode", "theorem", "heads"];
  const change = (values) => {
    for (const [trait, value] of Object.entries(values)) model.set(trait, value);
    model.save_changes();
    announce.later();
  };
  const settings = () => {
    const target = targetOf(model.get("wishes"));
    const dK = Math.min(model.get("d_k") ?? target.length, target.length);
    return {
      target, dK, seeSelf: model.get("see_self"), objective: model.get("objective"),
      seed: model.get("seed"), heads: model.get("heads") ?? 1,
    };
  };

  // ---- training
  let layers; // { shared, separate } once training has begun
  let trainedOn; // the settings that they were made for
  let frame; // of the animation, while it runs
  const step = () => (layers ? layers.shared.losses.length - 1 : 0);
  const stop = () => {
    cancelAnimationFrame(frame);
    frame = undefined;
  };
  const begin = () => {
    const now = settings();
    layers = Object.fromEntries(MODES.map((mode) => [mode, new Layer(now, mode === "shared")]));
    trainedOn = JSON.stringify(now);
  };
  const advance = (to) => {
    while (step() < to) for (const mode of MODES) layers[mode].step();
  };
  const finish = () => {
    stop();
    draw();
    announce.say(summary());
  };
  const train = () => {
    if (frame !== undefined) return finish(); // it is a button to stop with, now
    if (!settings().target.some((wish) => wish >= 0)) return announce.say("Draw a wish first.");
    if (!layers || step() === STEPS) begin();
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) {
      advance(STEPS);
      return finish();
    }
    const before = step();
    let start;
    const show = (time) => {
      start ??= time;
      advance(Math.min(STEPS, before + Math.floor((time - start) / MILLISECONDS)));
      if (step() === STEPS) return finish();
      frame = requestAnimationFrame(show);
      draw();
    };
    frame = requestAnimationFrame(show);
    draw();
  };

  // ---- the drawing
  const setWish = (from, to) => {
    const names = Object.keys(model.get("wishes"));
    const [one, other] = [names[from], names[to] ?? null];
    const same = model.get("wishes")[one] === other;
    change({ wishes: { ...model.get("wishes"), [one]: same ? null : other } });
  };
  const picture = drawing({
    wish: setWish,
    remove: (from) => setWish(from, -1),
    picked: () => {
      draw();
      announce.later();
    },
  });
  const hint = h("p", { class: "caption hint" });
  const ready = Object.entries(DRAWINGS).map(([name, wishes]) => {
    const radio = h("input", {
      type: "radio", name: "drawing", value: name, onchange: () => change({ wishes, d_k: null }),
    });
    return { name, wishes: JSON.stringify(wishes), radio };
  });

  // ---- settings
  const radiosOf = (trait, texts, read = String) => Object.entries(texts).map(([value, text]) => {
    const radio = h("input", {
      type: "radio", name: trait, value, onchange: () => change({ [trait]: read(value) }),
    });
    return { value, radio, label: h("label", {}, radio, text) };
  });
  const modes = radiosOf("mode", { shared: "shared", separate: "separate" });
  const counts = radiosOf("heads", { 1: "one", 2: "two" }, Number);
  const objectives = radiosOf("objective", { "cross-entropy": "cross-entropy", margin: "margin" });
  const check = (trait, text) => {
    const box = h("input", { type: "checkbox", onchange: () => change({ [trait]: box.checked }) });
    return { box, label: h("label", { class: "check" }, box, text) };
  };
  const seeSelf = check("see_self", "a token may look at itself");
  const speak = h("button", {
    type: "button",
    onclick: () => {
      change({ theorem: true });
      says.focus(); // the button is gone
    },
  }, "Let the theorem speak");
  const width = h("input", {
    type: "range", min: 1, step: 1, "aria-label": "d_k, the numbers of a query",
    oninput: () => {
      const dK = Number(width.value);
      change({ d_k: dK === Object.keys(model.get("wishes")).length ? null : dK });
    },
  });
  const widthShown = h("data", { class: "number shown-d_k" });

  const announce = announcer(() => summary());
  const more = (wishes) => {
    const name = NAMES.find((each) => !(each in wishes)) ?? "another";
    return { ...wishes, [name]: null };
  };
  const fewer = (wishes) => {
    const kept = Object.keys(wishes).slice(0, -1);
    return Object.fromEntries(kept.map((name) =>
      [name, kept.includes(wishes[name]) ? wishes[name] : null]));
  };
  const tokens = limitedButtons(model, "wishes", {
    limits: () => `${MIN_TOKENS} to ${MAX_TOKENS} tokens`,
    fits: (wishes) => {
      const n = Object.keys(wishes).length;
      return n >= MIN_TOKENS && n <= MAX_TOKENS;
    },
  }, announce, [["One token more", more], ["One fewer", fewer]]);

  // ---- what is read out
  const bounds = Object.fromEntries(["raw", ...MODES].map((mode) =>
    [mode, h("data", { class: `bound-${mode}` })]));
  const says = h("div", { class: "says", tabindex: -1 });
  const few = h("p", { class: "caption few" });
  const maps = Object.fromEntries(MODES.map((mode) => {
    const each = [1, 2].map((head) => weightMap(mode, `, head ${head}`));
    const granted = h("data", { class: `granted-${mode}` });
    const loss = h("data", { class: `loss-${mode}` });
    const figure = h("figure", { class: `of-${mode}` }, h("div", { class: "title" }, CALLED[mode]),
      each[0].svg, h("figcaption", {}, "a row looks at a column"));
    return [mode, { each, granted, loss, figure }];
  }));
  const plot = curves();
  const floorText = h("span", { class: "floor-text" });
  const stepShown = h("data", { class: "step" });
  const trainButton = h("button", { type: "button", class: "train", onclick: train });
  const another = h("button", {
    type: "button",
    onclick: () => {
      change({ seed: (model.get("seed") + 1) % 2 ** 32 });
      stop();
      train();
    },
  }, "Another start");

  const summary = () => {
    const names = Object.keys(model.get("wishes"));
    if (picture.taken >= 0) return hint.textContent;
    if (layers) {
      return `Step ${step()} of ${STEPS}. ` + MODES.map((mode) =>
        `${CALLED[mode]}: granted ${maps[mode].granted.textContent}, loss ${maps[mode].loss.textContent}`)
        .join("; ") + `. ${hint.textContent}`;
    }
    const target = targetOf(model.get("wishes"));
    const drawn = names.map((name, i) =>
      `${name} wishes for ${target[i] < 0 ? "nobody" : names[target[i]]}`).join(", ");
    return `${drawn}.${model.get("theorem") ? ` ${says.textContent}` : ""}`;
  };

  let shownNames;
  const draw = () => {
    const now = settings();
    if (layers && trainedOn !== JSON.stringify(now)) {
      stop();
      layers = undefined;
    }
    const wishes = model.get("wishes");
    const names = Object.keys(wishes);
    if (String(names) !== shownNames) {
      shownNames = String(names);
      picture.clear();
    }
    const found = theoremOf(now);
    const speaks = model.get("theorem");
    const mode = model.get("mode");
    const granted = layers?.[mode].granted;

    const lit = new Set(speaks && mode === "shared" ? found.inTheWay.flat() : []);
    picture.draw(names, now.target, lit, granted);
    const short = layers && step() === STEPS && speaks && found.exact.shared
      && layers.shared.granted.filter(Boolean).length < found.most.shared;
    hint.textContent = picture.taken >= 0
      ? `Now press the one that ${names[picture.taken]} is to look at.`
      : short ? advice(found, now)
        : "Press a token, then the one that it is to look at, or drag. The same again takes the wish away.";
    const drawn = JSON.stringify(wishes);
    for (const each of ready) each.radio.checked = each.wishes === drawn;
    for (const each of [...modes, ...objectives, ...counts]) {
      each.radio.checked = [mode, model.get("objective"), String(now.heads)].includes(each.value);
    }
    seeSelf.box.checked = now.seeSelf;
    width.max = names.length;
    width.value = now.dK;
    width.setAttribute("aria-valuetext", String(now.dK));
    show(widthShown, now.dK, String(now.dK));
    tokens.draw();

    for (const each of ["raw", ...MODES]) {
      if (speaks) {
        show(bounds[each], found.most[each],
          `${found.exact[each] ? "" : "\u2264\u00a0"}${found.most[each]} of ${found.wishes}`);
      } else show(bounds[each], "", "?");
    }
    says.replaceChildren(...(speaks ? spoken(found, names, now)
      : ["A wish is granted where it scores above all others. How many can each grant at most? Say a number first."])
      .map((text) => h("p", {}, text, " ")), ...(speaks ? [] : [speak]));
    few.textContent = !speaks || found.exact.shared ? ""
      : `${now.dK} ${now.dK === 1 ? "number" : "numbers"} may be too few for scores that grant so ` +
        `many, so the count is an upper bound; ${names.length} are enough.`;

    for (const each of MODES) {
      const layer = layers?.[each];
      const map = maps[each];
      map.each.forEach(({ svg, draw: drawMap }, which) => {
        if (which >= now.heads) svg.remove();
        else if (!svg.isConnected) map.each[which - 1].svg.after(svg);
        drawMap(names, now.target, now.seeSelf, layer?.heads[which]?.weights);
      });
      if (layer) {
        const count = layer.granted.filter(Boolean).length;
        show(map.granted, count, `${count} of ${found.wishes}`);
        show(map.loss, layer.losses.at(-1), signed(layer.losses.at(-1), 3));
      } else {
        show(map.granted, "", "\u2013");
        show(map.loss, "", "\u2013");
      }
    }
    const floored = speaks && now.objective === "cross-entropy" && found.wishes > 0;
    plot.draw(layers, floored ? found.floor : undefined);
    floorText.textContent = loss(found, { ...now, speaks });
    show(stepShown, step(), `step ${step()}`);
    trainButton.textContent = frame !== undefined ? "Stop" : step() === STEPS ? "Train again"
      : step() ? "Go on" : "Train";
  };

  const group = (name, text, radios) => h("div", { class: "choice", role: "radiogroup", "aria-label": name },
    h("span", { "aria-hidden": "true" }, text),
    h("div", { class: "segments" }, ...radios.map(({ label }) => label)));
  const howMany = group("How many heads", "Heads", counts);
  const row = (name, ...values) => h("tr", {}, h("th", { scope: "row" }, name), ...values);
  const cell = (value) => h("td", {}, value);
  const tally = h("table", { class: "tally" },
    h("thead", {}, h("tr", {}, h("td"),
      ...["raw cosine", CALLED.shared, CALLED.separate].map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", {},
      row("can grant", ...["raw", ...MODES].map((each) => cell(bounds[each]))),
      row("granted", h("td", { class: "untrained", rowspan: 2 }, "nothing to train"),
        ...MODES.map((each) => cell(maps[each].granted))),
      row("loss", ...MODES.map((each) => cell(maps[each].loss)))));
  const key = (name, text) => h("span", { class: "legend" },
    s("svg", { class: "line-key", viewBox: "0 0 20 14", "aria-hidden": "true" },
      s("path", { class: name, d: "M0 7H20" })), text);
  const remove = stage(model, el, traits, [
    h("div", { class: "choice", role: "radiogroup", "aria-label": "Drawings to begin with" },
      h("div", { class: "segments wrapping" },
        ...ready.map(({ name, radio }) => h("label", {}, radio, name)))),
    // What training changes stays in sight of its button, on a phone too.
    h("div", { class: "drawn" },
      h("div", { class: "board" }, picture.svg, hint,
        h("div", { class: "controls buttons" }, trainButton, another, stepShown)),
      h("div", { class: "results" }, tally, says,
        group("What training lowers", "Training lowers", objectives),
        group("Whose granted wishes the drawing shows", "Solid arrows: granted by", modes))),
    h("div", { class: "trained" },
      ...MODES.map((mode) => maps[mode].figure),
      h("figure", { class: "of-loss" }, h("div", { class: "title" }, "loss"), plot.svg, h("figcaption", {},
        key("shared", "shared"), key("separate", "separate"), floorText))),
    h("div", { class: "controls conditions" },
      ...(model.get("heads") === null ? [] : [howMany]),
      seeSelf.label,
      h("label", { class: "slider" }, h("span", {}, "d", h("sub", {}, "k")), width, widthShown),
      h("div", { class: "controls buttons" }, ...tokens.nodes),
      h("span", { class: "last" }, resetButton(model, traits, () => {
        stop();
        layers = undefined;
        draw();
        announce.later();
      }))),
    few, tokens.note,
    announce.node,
  ], draw);
  return () => {
    stop();
    announce.stop();
    remove();
  };
}

export default { render };
