// What the explorers share. It stands in front of each explorer's module (module_source in
// base.py), after `const STYLE`, the style sheet. Nothing here is exported or imported.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== false && value != null) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children);
  return node;
}
const h = (tag, attributes = {}, ...children) =>
  fill(document.createElement(tag), attributes, children);
const s = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS(SVG, tag), attributes, children);

/** softmax(scores / temperature). The largest score is subtracted first, so nothing overflows. */
function softmax(scores, temperature) {
  let largest = -Infinity;
  for (const score of scores) largest = Math.max(largest, score);
  const weights = Float64Array.from(scores, (score) => Math.exp((score - largest) / temperature));
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => weight / sum);
}

/** exp(entropy): n for n equal weights, 1 when one weight has everything. */
function effectiveNumber(weights) {
  let entropy = 0;
  for (const w of weights) if (w > 0) entropy -= w * Math.log(w);
  return Math.exp(entropy);
}

/** Three significant digits, never in scientific notation. */
function digits(x) {
  if (x === 0) return "0";
  const decimals = Math.min(8, Math.max(0, 2 - Math.floor(Math.log10(Math.abs(x)))));
  return x.toFixed(decimals);
}
const percent = (w) => (w > 0 && w < 1e-6 ? "< 0.0001\u00a0%" : `${digits(100 * w)}\u00a0%`);
const signed = (x, decimals) =>
  (Number(x.toFixed(decimals)) + 0).toFixed(decimals).replace("-", "\u2212"); // + 0: no minus zero

/** A point of a plane in words. */
const coordinates = (point) => `(${point.map((x) => signed(x, 2)).join(", ")})`;

/** "a", "a and b", "a, b and c". */
const listed = (words) =>
  [words.slice(0, -1).join(", "), ...words.slice(-1)].filter(Boolean).join(" and ");

/**
 * What a read-out says, `lines` below one another, with room for the longest that it may say, at
 * every width: what stands below keeps its place. `possible` is all that, `[text or nodes of each
 * line]` each; it stands in the same place, unseen.
 */
function roomFor(lines, possible) {
  const block = (each) => h("span", {}, ...each.flatMap((line, i) => (i ? [h("br"), line] : [line])));
  const unseen = possible.map((texts) => {
    const node = block(texts.map((text, i) => h(lines[i].localName,
      { class: lines[i].classList.contains("caption") && "caption" }, ...[text].flat())));
    return fill(node, { class: "unsaid", "aria-hidden": "true" }, []);
  });
  return h("span", { class: "roomy" }, block(lines), ...unseen);
}

/**
 * The curve from one box to another, `{ at, half }` each: the middle and half of the size. `lean` of
 * the distance is how far it bends to its left: with both leaning alike, the way there and the way
 * back lie apart. Returns the path's `d`, and the corners of a head that is so many pixels long.
 */
function arrowBetween(from, to, { lean, head }) {
  const [[x, y], [u, v]] = [from.at, to.at];
  const bend = [(x + u) / 2 + lean * (v - y), (y + v) / 2 - lean * (u - x)];
  const away = ({ at, half }, gap) => {
    const length = Math.hypot(bend[0] - at[0], bend[1] - at[1]);
    const [dx, dy] = [(bend[0] - at[0]) / length, (bend[1] - at[1]) / length];
    const out = Math.min(half[0] / Math.abs(dx || 1e-9), half[1] / Math.abs(dy || 1e-9)) + gap;
    return { point: [at[0] + dx * out, at[1] + dy * out], dx, dy };
  };
  const { point: start } = away(from, 2);
  const { point: tip, dx, dy } = away(to, 2);
  const { point: base } = away(to, 2 + head);
  const [across, along] = [-dy * head * 0.55, dx * head * 0.55];
  return {
    d: `M${start}Q${bend} ${base}`,
    points: [tip, [base[0] + across, base[1] + along], [base[0] - across, base[1] - along]].join(" "),
  };
}

/** Show `text`, and keep the exact number with it for programs that read the page. */
function show(data, number, text) {
  data.value = String(number);
  data.textContent = text;
}

/** A labelled slider over the temperature: logarithmic, four steps to a factor of two. */
function temperatureSlider(model, low, high, changed) {
  const input = h("input", {
    type: "range", min: Math.log2(low), max: Math.log2(high), step: 0.25,
    "aria-label": "temperature",
    oninput: () => {
      model.set("temperature", 2 ** Number(input.value));
      model.save_changes();
      changed();
    },
  });
  const number = h("data", { class: "number" });
  const node = h("label", { class: "temperature" },
    h("span", {}, "Temperature"), input, number);
  const draw = () => {
    const temperature = model.get("temperature");
    input.value = Math.log2(temperature);
    input.setAttribute("aria-valuetext", digits(temperature));
    show(number, temperature, digits(temperature));
  };
  return { node, draw };
}

/** A labelled slider over the trait of that name, which is shown with two decimals. */
function traitSlider(model, trait, text, { min, max, step }, changed) {
  const input = h("input", {
    type: "range", min, max, step, "aria-label": text,
    oninput: () => {
      model.set(trait, Number(input.value));
      model.save_changes();
      changed();
    },
  });
  const number = h("data", { class: `number shown-${trait}` });
  const node = h("label", { class: "slider" }, h("span", {}, text), input, number);
  const draw = () => {
    input.value = model.get(trait);
    input.setAttribute("aria-valuetext", signed(model.get(trait), 2));
    show(number, model.get(trait), signed(model.get(trait), 2));
  };
  return { node, draw };
}

/** A table of numbers between tokens: the row asks, the column is asked. `more` names columns. */
function numberTable(tokens, caption, more = []) {
  const row = (each) => each.map(() => h("td"));
  const cells = tokens.map(() => row(tokens));
  const extra = tokens.map(() => row(more));
  const node = h("table", { class: "numbers" }, h("caption", {}, caption),
    h("thead", {}, h("tr", {}, h("td"),
      ...[...tokens, ...more].map((text) => h("th", { scope: "col" }, text)))),
    h("tbody", {}, ...tokens.map((token, i) =>
      h("tr", {}, h("th", { scope: "row" }, token), ...cells[i], ...extra[i]))));
  /** Show a number; `heat` from -1 to 1 colours its cell, more for more. */
  const set = (i, j, number, text, heat) => {
    const cell = cells[i][j];
    cell.replaceChildren(h("data", { value: number }, text));
    cell.classList.toggle("below", heat < 0);
    cell.style.setProperty("--heat", Math.abs(heat));
  };
  return { node, cells, extra, set };
}

/**
 * A region that a screen reader reads: what `say` is given at once, as the answer to a click; the
 * summary once the reader has been still for a moment.
 */
function announcer(summary) {
  const node = h("div", { class: "announce", role: "status" });
  let waiting;
  const say = (text) => {
    clearTimeout(waiting);
    node.textContent = text;
  };
  return {
    node,
    say,
    later: () => {
      clearTimeout(waiting);
      waiting = setTimeout(() => say(summary()), 700);
    },
    stop: () => clearTimeout(waiting),
  };
}

/**
 * Where a pointer is on `node`: `[right, down]`, from 0 to 1 over its box as it is drawn. Slides are
 * scaled, so a pixel of the screen is not one of the style sheet.
 */
function pointerOn(node, event) {
  const box = node.getBoundingClientRect();
  return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
}

/** Let a mouse, a pen or a finger drag `node`; `moveTo` is given every event on the way. */
function draggable(node, moveTo) {
  node.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    node.setPointerCapture(event.pointerId);
    node.focus({ preventScroll: true }); // so that the arrow keys go on from there
  });
  node.addEventListener("pointermove", (event) => {
    if (node.hasPointerCapture(event.pointerId)) moveTo(event);
  });
}

/**
 * A point of a plane that is dragged, or moved with the arrow keys, within `limit` of the middle.
 * `fromPage` says where in the plane an event is; `shape` is drawn around (0, 0).
 */
function movable(kind, shape, name, limit, fromPage, moveTo) {
  const clamp = (x) => Math.max(-limit, Math.min(limit, Math.round(100 * x) / 100));
  let at = [0, 0];
  const node = s("g", {
    class: `drag ${kind}`, tabindex: 0, role: "slider", "aria-label": name,
    "aria-valuemin": -limit, "aria-valuemax": limit,
    onkeydown: (event) => {
      const step = event.shiftKey ? 0.5 : 0.1;
      const by = {
        ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, step], ArrowDown: [0, -step],
      }[event.key];
      if (!by || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      moveTo(at.map((x, axis) => clamp(x + by[axis])));
    },
  }, s("circle", { class: "hit", r: 15 }), shape);
  draggable(node, (event) => moveTo(fromPage(event).map(clamp)));
  const draw = (point, [x, y]) => {
    at = point;
    node.setAttribute("transform", `translate(${x} ${y})`);
    node.setAttribute("aria-valuenow", point[0]);
    node.setAttribute("aria-valuetext", `at ${coordinates(point)}`);
  };
  return { node, draw };
}

/**
 * Whether a finger or a pen moves to the side. One that moves up or down is about to scroll the
 * page, and does so after the first few of its events (`touch-action: pan-y`); a mouse never does.
 */
function sideways(start, event) {
  return event.pointerType === "mouse" ||
    Math.abs(event.clientX - start.clientX) > Math.abs(event.clientY - start.clientY);
}

/**
 * Let a mouse, a pen or a finger pick a place on `node`, by a press or a tap, or by dragging.
 * A finger that scrolls the page past `node` picks nothing.
 */
function pickable(node, pick) {
  let start; // of the press that goes on
  let decided; // that it picks
  // A click would take the focus from where `pick` may put it.
  node.addEventListener("mousedown", (event) => event.preventDefault());
  node.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !event.isPrimary) return;
    node.setPointerCapture(event.pointerId);
    start = event;
    decided = event.pointerType === "mouse";
    if (decided) pick(event);
  });
  node.addEventListener("pointermove", (event) => {
    if (event.pointerId !== start?.pointerId) return;
    decided ||= sideways(start, event);
    if (decided) pick(event);
  });
  node.addEventListener("pointerup", (event) => {
    if (event.pointerId !== start?.pointerId) return;
    if (!decided) pick(event); // a tap: what scrolls ends in `pointercancel`
    start = undefined;
  });
  node.addEventListener("pointercancel", () => { start = undefined; });
}

/**
 * Keep the sliders within `root` where they are while a finger scrolls the page past them.
 * Browsers move a slider to the finger first, and see only then that it scrolls.
 */
function steadySliders(root) {
  let touch; // { start, value: of the slider before, wanted: by the browser }
  const over = (cancelled) => {
    if (!touch) return;
    const { start: { target }, value, wanted } = touch;
    touch = undefined;
    if (cancelled) target.value = value;
    else if (wanted !== undefined) { // a tap
      target.value = wanted;
      target.dispatchEvent(new Event("input"));
    }
  };
  root.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "mouse" || !event.target.matches('input[type="range"]')) return;
    touch = { start: event, value: event.target.value };
  });
  root.addEventListener("pointermove", (event) => {
    if (touch && sideways(touch.start, event)) touch = undefined; // the slider is its own master
  });
  root.addEventListener("pointerup", () => over(false));
  root.addEventListener("pointercancel", () => over(true));
  root.addEventListener("input", (event) => {
    if (event.target !== touch?.start.target) return;
    event.stopPropagation();
    touch.wanted = event.target.value;
    event.target.value = touch.value;
  }, { capture: true });
}

/**
 * Buttons that change a trait, `[text, change]` each, and a line that says within which `limits` the
 * trait stays and whose change would leave them. Such a button is not `disabled`: one that disables
 * itself when pressed would lose the keyboard's focus. `changed` is called after a change.
 */
function limitedButtons(model, trait, { limits, fits, changed = () => {} }, announce, actions) {
  const id = `attn-${Math.random().toString(36).slice(2)}`; // of its own on any page
  const note = h("div", { class: "caption limits", id });
  const buttons = actions.map(([text, change]) => {
    const node = h("button", {
      type: "button",
      onclick: () => {
        const next = change(model.get(trait));
        if (!fits(next)) return announce.say(note.textContent);
        model.set(trait, next);
        model.save_changes();
        announce.later();
        changed();
      },
    }, text);
    return { change, node };
  });
  const draw = () => {
    const beyond = buttons.filter(({ node, change }) => {
      const blocked = !fits(change(model.get(trait)));
      node.setAttribute("aria-disabled", String(blocked));
      if (blocked) node.setAttribute("aria-describedby", id);
      else node.removeAttribute("aria-describedby");
      return blocked;
    });
    const names = beyond.map(({ node }) => `\u201c${node.textContent}\u201d`);
    const within = limits(model.get(trait));
    note.textContent = names.length ? `${within}: ${listed(names)} would go beyond.` : `${within}.`;
  };
  return { nodes: buttons.map(({ node }) => node), note, draw };
}

/**
 * The frame of an explorer inside `el`; returns the function that takes it away.
 * `draw` is called now and whenever one of the traits changes, from here or from Python.
 */
function stage(model, el, traits, children, draw) {
  // A form of its own: radio buttons of two explorers on a page never form one group.
  const root = h("form", {
    class: "attn-explorer", onsubmit: (event) => event.preventDefault(),
  }, h("style", {}, STYLE), ...children);
  // JupyterLab takes single keys for commands ("d d" deletes the cell), unless the element that
  // has the focus says otherwise; an ancestor's word does not count.
  for (const node of root.querySelectorAll("input, button, [tabindex]")) {
    node.setAttribute("data-lm-suppress-shortcuts", "true");
  }
  // `touch-action` does nothing for what stands inside of an SVG: a finger would scroll the page.
  for (const node of root.querySelectorAll("svg .drag")) {
    node.addEventListener("touchstart", (event) => event.preventDefault());
  }
  steadySliders(root);
  el.append(root);
  for (const trait of traits) model.on(`change:${trait}`, draw);
  draw();
  return () => {
    for (const trait of traits) model.off(`change:${trait}`, draw);
    root.remove();
  };
}

/** A button that puts the traits back to what they are now. */
function resetButton(model, traits, changed) {
  const start = traits.map((trait) => [trait, model.get(trait)]);
  return h("button", {
    type: "button",
    onclick: () => {
      for (const [trait, value] of start) model.set(trait, value);
      model.save_changes();
      changed();
    },
  }, "Reset");
}
