const [MIN_WORDS, MAX_WORDS] = [2, 5]; // of a sentence
const [SIDE, HEAD, ROW] = [78, 40, 36]; // the strips left and on top, and a row, in its pixels
const MASKS = ["none", "top left", "bottom right"]; // where a causal mask starts from
const [FULL, SOME] = ["each row adds up to 1", "rows that see something add up to 1"]; // weights
const EACH = "one for each row"; // of the outputs, but where a mask leaves some without any:
const without = (blind) => `with nothing for ${listed(blind)}`;
const CLICK = 4; // pixels that a press may wander and still be one

const times = (W, x) => W.map((row) => row.reduce((sum, w, j) => sum + w * x[j], 0));
const dot = (a, b) => a.reduce((sum, each, i) => sum + each * b[i], 0);

/** Whether query i of T_q may attend to key j of T_k. */
function allowed(mask, i, j, T_q, T_k) {
  if (mask === "none") return true;
  return j <= i + (mask === "top left" ? 0 : T_k - T_q);
}

/** `list` with `item` taken out, wherever it was, and put in at `place`. */
function placed(list, item, place) {
  const others = list.filter((each) => each !== item);
  others.splice(Math.max(0, Math.min(place, others.length)), 0, item);
  return others;
}

function render({ model, el }) {
  const words = model.get("words");
  const x = model.get("x");
  const [queries, keys] = ["w_q", "w_k"].map((W) => x.map((each) => times(model.get(W), each)));
  const traits = ["rows", "columns", "mask", "same"];
  const score = (i, j) => dot(queries[i], keys[j]) / Math.sqrt(queries[i].length);
  const asks = (word) => model.get("rows").includes(word);
  const asked = () => model.get(model.get("same") ? "rows" : "columns");
  const change = (changes) => {
    for (const [trait, value] of Object.entries(changes)) model.set(trait, value);
    model.save_changes();
    announce.later();
  };

  // ---- where a word goes
  /** Put a word at a place of the rows or the columns; false if a sentence would not allow it. */
  const put = (word, toRows, place) => {
    const [to, from] = toRows ? ["rows", "columns"] : ["columns", "rows"];
    const crosses = asks(word) !== toRows;
    if (crosses && (model.get("same") || model.get(from).length <= MIN_WORDS ||
        model.get(to).length >= MAX_WORDS)) return false;
    const there = placed(model.get(to), word, place);
    if (!crosses && there.every((each, i) => each === model.get(to)[i])) return true;
    change(crosses
      ? { [from]: model.get(from).filter((each) => each !== word), [to]: there } : { [to]: there });
    return true;
  };
  const across = (word) => {
    if (put(word, !asks(word), MAX_WORDS)) return;
    announce.say(model.get("same") ? waiting : limits);
  };
  const limits = "A sentence keeps two to five words.";
  const waiting = "One sentence asks itself, the other one waits.";

  /** A finger or a mouse over the strip on the left asks, over the strip on top is asked. */
  const follow = (word, event) => {
    const box = board.getBoundingClientRect();
    const [height, [x, y]] = [HEAD + MAX_WORDS * ROW, pointerOn(board, event)];
    const width = (box.width / box.height) * height; // in pixels of the style sheet, as the height
    const [right, down] = [x * width - SIDE, y * height - HEAD];
    const column = Math.floor(right / ((width - SIDE) / MAX_WORDS));
    const row = Math.floor(down / ROW);
    const toRows = asks(word) ? !(down < 0 && right > 0) : right < 0 && down > 0;
    if (!put(word, toRows, toRows ? row : column)) put(word, !toRows, toRows ? column : row);
  };

  // ---- the words: one handle each, which keeps its node wherever it goes
  const hint = `attn-${Math.random().toString(36).slice(2)}`;
  const handles = words.map((text, word) => {
    let start; // of a press that may become a click
    const node = h("div", {
      class: "drag moves", role: "button", tabindex: 0, "aria-describedby": hint,
      onpointerdown: (event) => { start = event.button === 0 ? event : undefined; },
      onpointerup: (event) => {
        const wandered = start && Math.hypot(event.clientX - start.clientX, event.clientY - start.clientY);
        if (start && wandered < CLICK) across(word);
        start = undefined;
      },
      onpointercancel: () => { start = undefined; },
      onkeydown: (event) => {
        if (event.ctrlKey || event.metaKey || event.altKey) return;
        const sentence = model.get(asks(word) ? "rows" : "columns");
        const by = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
        if (by) put(word, asks(word), sentence.indexOf(word) + by);
        else if (event.key === "Enter" || event.key === " ") across(word);
        else return;
        event.preventDefault();
      },
    }, text);
    draggable(node, (event) => {
      if (start && Math.hypot(event.clientX - start.clientX, event.clientY - start.clientY) < CLICK) return;
      start = undefined; // from here on it is a drag
      follow(word, event);
      announce.later(); // once the hand is still
    });
    return node;
  });
  const group = h("div", { class: "words" }, ...handles);
  /** The Tab key follows the sentences. What has the focus stays in the document, to keep it. */
  const inOrder = (order) => {
    const nodes = order.map((word) => handles[word]);
    const pivot = Math.max(0, nodes.findIndex((node) => node === node.getRootNode().activeElement));
    for (const node of nodes.slice(0, pivot)) group.insertBefore(node, nodes[pivot]);
    group.append(...nodes.slice(pivot + 1));
  };

  // ---- the table, made anew: nothing in it has a focus; the handles lie on its headers
  const grid = h("div", { class: "weights", role: "table", "aria-label": "Weights" });
  const at = (row, column) => `grid-area: ${row + 2} / ${column + 2}`;
  const cell = (i, j, weight) => h("div", {
    role: "cell", class: weight === undefined ? "masked" : "", style: `${at(i, j)}; --heat: ${weight ?? 0}`,
  }, h("data", { value: weight ?? 0 }, weight === undefined ? "\u2013" : weight.toFixed(2)));
  const board = h("div", { class: "board" }, grid, group);

  // ---- controls
  const radios = MASKS.map((value) => h("input", {
    type: "radio", name: "mask", value, onchange: () => change({ mask: value }),
  }));
  const same = h("input", { type: "checkbox", onchange: () => change({ same: same.checked }) });
  const swap = h("button", {
    type: "button",
    onclick: () => change({ rows: model.get("columns"), columns: model.get("rows") }),
  }, "Swap the two");

  // ---- read-outs
  const read = ["queries", "keys", "size", "outputs"].map((name) => ({
    number: h("data", { class: name }), note: h("span", { class: "caption" }),
  }));
  const summary = () =>
    `${read[0].note.textContent}: ${read[0].number.textContent}. ` +
    `${read[1].note.textContent}: ${read[1].number.textContent}. ` +
    `${read[2].number.textContent} weights. ${read[3].number.textContent} outputs, ` +
    `${read[3].note.textContent}.`;
  const announce = announcer(summary);

  const draw = () => {
    const [rows, columns] = [model.get("rows"), asked()];
    const [T_q, T_k] = [rows.length, columns.length];
    const sentence = (each) => each.map((word) => words[word]).join(" ");
    const weights = rows.map((word, i) => {
      const open = columns.map((_, j) => allowed(model.get("mask"), i, j, T_q, T_k));
      const row = softmax(columns.map((other, j) => (open[j] ? score(word, other) : -Infinity)), 1);
      // Where nothing is open the softmax is NaN throughout, and none of it is shown.
      return [...row].map((weight, j) => (open[j] ? weight : undefined));
    });

    grid.replaceChildren(
      h("div", { role: "row" },
        h("span", { role: "columnheader", class: "corner" }, "asks \u2193", h("br"), "asked \u2192"),
        ...columns.map((word, j) =>
          h("span", { role: "columnheader", style: at(-1, j) }, words[word]))),
      ...weights.map((row, i) => h("div", { role: "row" },
        h("span", { role: "rowheader", style: at(i, -1) }, words[rows[i]]),
        ...row.map((weight, j) => cell(i, j, weight)))));
    const cellWidth = `(100% - ${SIDE}px) / ${MAX_WORDS}`;
    handles.forEach((node, word) => {
      const row = rows.indexOf(word);
      const waits = row < 0 && model.get("same");
      const place = row < 0 ? model.get("columns").indexOf(word) : row;
      node.classList.toggle("asks", row >= 0);
      node.classList.toggle("asked", row < 0);
      node.classList.toggle("waits", waits);
      fill(node, {
        style: row < 0
          ? `left: calc(${SIDE}px + ${place} * ${cellWidth} + 2px); top: 4px; width: calc(${cellWidth} - 4px)`
          : `left: 0; top: ${HEAD + row * ROW + 2}px; width: ${SIDE - 6}px`,
        tabindex: waits ? -1 : 0,
        "aria-hidden": String(waits),
        "aria-label": `${words[word]}, ${row < 0 ? "is asked" : "asks"}, ` +
          `${place + 1} of ${row < 0 ? model.get("columns").length : T_q}`,
      }, []);
    });
    inOrder([...rows, ...model.get("columns")]);

    for (const radio of radios) radio.checked = radio.value === model.get("mask");
    same.checked = model.get("same");
    swap.setAttribute("aria-disabled", String(model.get("same")));
    const blind = rows.filter((_, i) => weights[i].every((weight) => weight === undefined));
    const notes = [
      [T_q, `${T_q}`, sentence(rows)],
      [T_k, `${T_k}`, sentence(columns)],
      [T_q * T_k, `${T_q} \u00d7 ${T_k}`, blind.length ? SOME : FULL],
      [T_q, `${T_q}`, blind.length ? without(blind.map((word) => words[word])) : EACH],
    ];
    notes.forEach(([exact, text, note], i) => {
      show(read[i].number, exact, text);
      read[i].note.textContent = note;
    });
  };

  const readout = (name, { number, note }, notes) => h("div", {},
    h("dt", {}, ...name),
    h("dd", {}, roomFor([h("strong", {}, number), note], notes.map((text) => ["0", text]))));
  const longest = [...words].sort((a, b) => b.length - a.length);
  const fullest = longest.slice(0, MAX_WORDS).join(" ");
  const T = (kind) => h("span", {}, "T", h("sub", {}, kind));
  const remove = stage(model, el, traits, [
    h("div", { class: "two-sequences" }, board,
      h("dl", { class: "readouts", style: "--columns: 2" },
        readout(["Queries, ", T("q")], read[0], [fullest]),
        readout(["Keys and values, ", T("k")], read[1], [fullest]),
        readout(["Weights"], read[2], [FULL, SOME]),
        readout(["Outputs"], read[3], [EACH, without(longest.slice(0, MAX_WORDS - MIN_WORDS))]))),
    h("p", { class: "caption", id: hint },
      "Drag a word along its sentence or into the other one; or press it to send it across. ",
      "Arrow keys move it along. A sentence keeps two to five words."),
    h("div", { class: "controls" },
      h("div", { class: "choice", role: "radiogroup", "aria-label": "Causal mask" },
        h("span", { "aria-hidden": "true" }, "Causal mask"),
        h("div", { class: "segments" },
          ...MASKS.map((text, i) => h("label", {}, radios[i], text)))),
      h("label", { class: "check" }, same, "the sentence on the left asks itself")),
    h("div", { class: "controls buttons" }, swap,
      h("span", { class: "last" }, resetButton(model, traits, () => announce.later()))),
    announce.node,
  ], draw);
  return () => {
    announce.stop();
    remove();
  };
}

export default { render };
