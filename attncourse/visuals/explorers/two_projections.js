const TOKENS = ["rock", "paper", "scissors"];
const WANTED = [2, 0, 1]; // each wants the one it beats, ...
const THIRD = 360 / TOKENS.length;
const PLACES = [0, 2 * THIRD, THIRD]; // ... which is the next clockwise
const [MIN_SIZE, MAX_SIZE] = [0.5, 2];

const OUTCOMES = {
  granted: "each looks for the one it beats",
  tie: "three ties, and a tie grants none",
  beaten: "each scores the one that beats it highest",
  itself: "each prefers itself",
  both: "each prefers itself and the one that beats it",
};
// The least loss there is with one matrix. It answers the page's prediction, so it is said only once
// the reader has seen one matrix: once the two handles have met.
const FLOORS = {
  unknown: "what one matrix reaches: let q and k meet",
  symmetric: "symmetric scores: at least log\u00a02\u00a0=\u00a00.693",
  shared: "one shared matrix: at least log\u00a03\u00a0=\u00a01.099",
};
const MIRRORS = { symmetric: "its own mirror image", other: "not symmetric" };

const SIDE = 300; // of the plane, in CSS pixels: it is never scaled, so its text keeps its size
const UNIT = 33; // length of a vector of length 1
const RINGS = { q: 136, k: 106 }; // radius of the track on which each matrix's handle runs

/** An angle in degrees as the one in (-180, 180] that points the same way. */
const wrap = (degrees) => 180 - ((((180 - degrees) % 360) + 360) % 360);
const W = (kind) => h("span", {}, "W", h("sub", {}, kind));
/** The point at a distance from the middle; angles run clockwise from the top. */
const at = (degrees, distance) => {
  const angle = (degrees * Math.PI) / 180;
  return [SIDE / 2 + distance * Math.sin(angle), SIDE / 2 - distance * Math.cos(angle)];
};

/** The scores of all pairs, `[3][3]`: row i asks, column j is asked. */
function scoresOf(angleQ, angleK, size) {
  // Rounded: what is equal by the mathematics must not be shown as -1.12 here and -1.13 there.
  const cosine = (degrees) => Number(Math.cos((degrees * Math.PI) / 180).toFixed(12));
  return TOKENS.map((_, i) =>
    TOKENS.map((_, j) => size ** 2 * cosine(PLACES[i] + angleQ - PLACES[j] - angleK)));
}

/** "granted", "tie" or "missed": is the wanted one's score the largest of those that count? */
function wishOf(i, scores, seeSelf) {
  const rivals = scores[i].filter((_, j) => j !== WANTED[i] && (seeSelf || j !== i));
  const lead = scores[i][WANTED[i]] - Math.max(...rivals);
  // A tie does not depend on the last digits.
  if (Math.abs(lead) < 1e-9) return "tie";
  return lead > 0 ? "granted" : "missed";
}

/** The queries and keys, and around them the two handles. */
function plane(handles) {
  const vectors = ["k", "q"].map((kind) => TOKENS.map((token) => {
    const shaft = s("line", { class: `shaft-${kind}`, x1: SIDE / 2, y1: SIDE / 2 });
    const initial = s("text", { class: `initial-${kind}` }, token[0].toUpperCase());
    const tip = kind === "q"
      ? s("rect", { class: "tip-q", x: -8, y: -8, width: 16, height: 16, rx: 2 })
      : s("circle", { class: "tip-k", r: 11.5 });
    return { kind, shaft, tip, initial };
  })).flat();
  const picture = s("g", { role: "img" },
    ...vectors.map(({ shaft }) => shaft),
    ...vectors.flatMap(({ tip, initial }) => [tip, initial]));
  const node = s("svg", {
    class: "turns", viewBox: `0 0 ${SIDE} ${SIDE}`, role: "group", "aria-label": "Queries and keys",
  }, ...handles.flatMap(({ ring }) => ring), picture, ...handles.map((handle) => handle.node));

  return {
    node,
    draw: (turns, size) => {
      vectors.forEach(({ kind, shaft, tip, initial }, n) => {
        const degrees = PLACES[n % TOKENS.length] + turns[kind];
        const [x, y] = at(degrees, size * UNIT);
        fill(shaft, { x2: x, y2: y }, []);
        tip.setAttribute("transform", `translate(${x} ${y})`);
        // A key's letter stands outside of its ring, in which a query's square may come to lie.
        const [left, top] = kind === "q" ? [x, y] : at(degrees, size * UNIT + 19.5);
        fill(initial, { x: left, y: top }, []);
      });
      picture.setAttribute("aria-label",
        "Three queries and three keys as arrows in the plane, all of length " +
        `${size.toFixed(2)}. ` + TOKENS.map((token, i) => {
          const nearest = TOKENS.map((other, j) =>
            [Math.abs(wrap(PLACES[i] + turns.q - PLACES[j] - turns.k)), other]);
          const [apart, key] = nearest.reduce((a, b) => (b[0] < a[0] ? b : a));
          return `The query of ${token} is ${Math.round(apart)} degrees from the key of ${key}.`;
        }).join(" "));
    },
  };
}

function render({ model, el }) {
  const traits = ["turn_q", "turn_k", "size", "see_self"];
  const between = () => wrap(model.get("turn_q") - model.get("turn_k"));
  const change = (trait, value) => {
    model.set(trait, value);
    model.save_changes();
    announce.later();
  };

  // ---- the handles: a square turns the queries, a disc the keys
  const handles = ["q", "k"].map((kind) => {
    const trait = `turn_${kind}`;
    const turnTo = (degrees) => {
      if (wrap(degrees) !== model.get(trait)) change(trait, wrap(degrees));
    };
    const follow = (event) => {
      const [right, down] = pointerOn(ring.ownerSVGElement, event);
      turnTo(Math.round((Math.atan2(right - 0.5, 0.5 - down) * 180) / Math.PI));
    };
    const track = { cx: SIDE / 2, cy: SIDE / 2, r: RINGS[kind] };
    const ring = s("g", {
      class: "track",
      onclick: (event) => {
        node.focus();
        follow(event);
      },
    }, s("circle", { class: "reach", ...track }), s("circle", { class: `ring-${kind}`, ...track }));
    const node = s("g", {
      class: "drag", role: "slider", tabindex: 0, "aria-label": `angle of W_${kind}`,
      "aria-valuemin": -180, "aria-valuemax": 180,
      onkeydown: (event) => {
        const sense = {
          ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 15, PageDown: -15,
        }[event.key];
        if (!sense || event.ctrlKey || event.metaKey || event.altKey) return;
        event.preventDefault();
        turnTo(model.get(trait) + sense * (event.shiftKey && Math.abs(sense) === 1 ? 15 : 1));
      },
    },
    kind === "q"
      ? s("rect", { class: "handle-q", x: -13, y: -13, width: 26, height: 26, rx: 4 })
      : s("circle", { class: "handle-k", r: 13 }),
    s("text", {}, kind));
    draggable(node, follow);
    return { kind, trait, ring, node };
  });
  const picture = plane(handles);

  // ---- the tables
  const scoreTable = numberTable(TOKENS, "Scores: the row\u2019s query \u00b7 the column\u2019s key");
  const weightTable = numberTable(TOKENS, "Weights of each row", ["wish"]);
  for (const { cells } of [scoreTable, weightTable]) {
    WANTED.forEach((j, i) => cells[i][j].classList.add("wanted"));
  }

  // ---- controls
  const slider = traitSlider(model, "size", "Size of both matrices",
    { min: MIN_SIZE, max: MAX_SIZE, step: 0.05 }, () => announce.later());
  const seeSelf = h("input", {
    type: "checkbox", onchange: () => change("see_self", seeSelf.checked),
  });
  const turnAhead = (degrees, text) => h("button", {
    type: "button",
    onclick: () => change("turn_q", wrap(model.get("turn_k") + degrees)),
  }, text);

  // ---- read-outs
  const angle = h("data", { class: "angle" });
  const turned = h("span", { class: "caption" });
  const granted = h("data", { class: "granted" });
  const outcome = h("span", { class: "caption outcome" });
  let met = false; // the handles, at least once: what one matrix can do is no news any more
  const loss = h("data", { class: "loss" });
  const floor = h("span", { class: "caption floor" });
  const mirror = h("strong", { class: "mirror" });
  const mirrored = h("span", { class: "caption mirrored" });
  const summary = () =>
    `W_q is turned ${angle.textContent} from W_k. Wishes granted: ${granted.textContent}. ` +
    `${outcome.textContent}. Loss ${loss.textContent}; ${floor.textContent}.`;
  const announce = announcer(summary);

  const draw = () => {
    const turns = { q: model.get("turn_q"), k: model.get("turn_k") };
    const size = model.get("size");
    const visible = model.get("see_self");
    const scores = scoresOf(turns.q, turns.k, size);
    const weights = scores.map((row, i) =>
      softmax(row.map((score, j) => (visible || j !== i ? score : -Infinity)), 1));
    const wishes = TOKENS.map((_, i) => wishOf(i, scores, visible));
    const count = wishes.filter((wish) => wish === "granted").length;

    picture.draw(turns, size);
    slider.draw();
    seeSelf.checked = visible;
    TOKENS.forEach((token, i) => {
      TOKENS.forEach((_, j) => {
        const masked = !visible && i === j;
        scoreTable.set(i, j, scores[i][j], signed(scores[i][j], 2), scores[i][j] / MAX_SIZE ** 2);
        scoreTable.cells[i][j].classList.toggle("masked", masked);
        weightTable.set(i, j, weights[i][j], masked ? "\u2013" : weights[i][j].toFixed(3), weights[i][j]);
        weightTable.cells[i][j].classList.toggle("masked", masked);
      });
      weightTable.extra[i][0].textContent = wishes[i];
      weightTable.extra[i][0].className = wishes[i];
    });

    const apart = between();
    show(angle, apart, `${signed(apart, 0)}\u00b0`);
    turned.replaceChildren(
      W("q"), ` at ${signed(turns.q, 0)}\u00b0, `, W("k"), ` at ${signed(turns.k, 0)}\u00b0`);
    show(granted, count, `${count} of ${TOKENS.length}`);
    outcome.textContent = {
      granted: OUTCOMES.granted,
      tie: OUTCOMES.tie,
      missed: !visible || scores[0][0] < scores[0][1] - 1e-9 ? OUTCOMES.beaten
        : scores[0][0] > scores[0][1] + 1e-9 ? OUTCOMES.itself : OUTCOMES.both,
    }[wishes[0]]; // a turn treats all tokens alike
    const mean = -weights.reduce((sum, row, i) => sum + Math.log(row[WANTED[i]]), 0) / TOKENS.length;
    show(loss, mean, mean.toFixed(3));
    // With itself in view a token can only lose weight, and one matrix makes s_ii + s_jj at least
    // 2 s_ij: then not even the log 2 of symmetric scores is within reach.
    met ||= apart === 0;
    floor.textContent = !met ? FLOORS.unknown : visible ? FLOORS.shared : FLOORS.symmetric;
    const [there, back] = [scores[0][2], scores[2][0]];
    const symmetric = Math.abs(there - back) < 1e-9;
    mirror.textContent = symmetric ? MIRRORS.symmetric : MIRRORS.other;
    mirrored.textContent =
      `rock asks scissors ${signed(there, 2)}, scissors ask rock ${signed(back, 2)}`;

    for (const { kind, trait, node } of handles) {
      const [x, y] = at(turns[kind], RINGS[kind]);
      node.setAttribute("transform", `translate(${x} ${y})`);
      node.setAttribute("aria-valuenow", model.get(trait));
      node.setAttribute("aria-valuetext",
        `${signed(turns[kind], 0)} degrees, ${granted.textContent} wishes granted`);
    }
  };

  const legend = (kind, text) => h("span", { class: "legend" },
    s("svg", { viewBox: "0 0 14 14", "aria-hidden": "true" }, kind === "q"
      ? s("rect", { class: "tip-q", x: 1, y: 1, width: 12, height: 12, rx: 2 })
      : s("circle", { class: "tip-k", cx: 7, cy: 7, r: 5.5 })), text);
  const readout = (name, lines, possible) => h("div", {}, h("dt", {}, ...[name].flat()),
    h("dd", {}, roomFor(lines, possible)));
  const longest = "\u2212180\u00b0"; // of all angles
  const least = signed(-(MAX_SIZE ** 2), 2);

  const remove = stage(model, el, traits, [
    h("div", { class: "turned" },
      h("figure", {}, picture.node, h("figcaption", {},
        legend("q", "query"), legend("k", "key"),
        h("span", {}, "of rock, paper, scissors"))),
      h("div", { class: "tables" }, scoreTable.node, weightTable.node)),
    h("p", {},
      "Each wants the one it beats: the outlined cells. ",
      "Drag q to turn all three queries, k to turn all three keys."),
    h("div", { class: "controls" }, slider.node,
      h("label", { class: "check" }, seeSelf, "a token may look at itself")),
    h("div", { class: "controls buttons" },
      turnAhead(THIRD, "A third of a turn"), turnAhead(0, "One matrix"),
      h("span", { class: "last" }, resetButton(model, traits, () => announce.later()))),
    h("dl", { class: "readouts", style: "--columns: 4" },
      readout([W("q"), " ahead of ", W("k"), " by"], [h("strong", {}, angle), turned],
        [[longest, [W("q"), ` at ${longest}, `, W("k"), ` at ${longest}`]]]),
      readout("Wishes granted", [h("strong", {}, granted), outcome],
        Object.values(OUTCOMES).map((text) => ["3 of 3", text])),
      readout("Loss, mean of \u2212log w", [h("strong", {}, loss), floor],
        Object.values(FLOORS).map((text) => ["0.000", text])),
      readout("The score table is", [mirror, mirrored], Object.values(MIRRORS).map((text) =>
        [text, `rock asks scissors ${least}, scissors ask rock ${least}`]))),
    announce.node,
  ], draw);
  return () => {
    announce.stop();
    remove();
  };
}

export default { render };
