// In pixels of the style sheet: planes keep their size, so their text does.
const HEAD = 168; // side of a head's plane
const OUT = 256; // side of the plane of outputs
const MARGIN = 14; // so that a point at the border is whole
const NEAR = 0.25; // a wish is met when the output comes so near to it
const ORDINALS = ["first", "second"];

/** The weights of both heads, `[2][n]`; merged, their scores are added and share one softmax. */
function weightsOf(queries, keys, merged) {
  const scores = keys.map((each, head) =>
    each.map(([x, y]) => queries[head][0] * x + queries[head][1] * y));
  if (!merged) return scores.map((row) => softmax(row, 1));
  const weights = softmax(scores[0].map((score, j) => score + scores[1][j]), 1);
  return [weights, weights];
}

const queryMark = () => s("rect", { class: "query-mark", x: -7, y: -7, width: 14, height: 14 });
const legend = (text, ...shapes) => h("span", { class: "legend" },
  s("svg", { viewBox: "-13 -13 26 26", "aria-hidden": "true" }, ...shapes), text);

/** One head: its keys, and the query that is moved among them. */
function headPlane(number, names, keys, limit, moveTo) {
  const scale = (HEAD / 2 - MARGIN) / limit;
  const place = ([x, y]) => [HEAD / 2 + x * scale, HEAD / 2 - y * scale];
  const fromPage = (event) => {
    const [right, down] = pointerOn(node, event);
    return [((right - 0.5) * HEAD) / scale, ((0.5 - down) * HEAD) / scale];
  };
  const query = movable(
    "query", queryMark(), `query of the ${ORDINALS[number]} head`, limit, fromPage, moveTo);
  const arrow = s("line", { class: "query-line", x1: HEAD / 2, y1: HEAD / 2 });
  const marks = keys.map((key) => {
    const [x, y] = place(key);
    return s("circle", { class: "key-mark", cx: x, cy: y, r: 7 });
  });
  const labels = keys.map((key, j) => {
    const [x, y] = place(key);
    return s("text", { x, y: y - 12, "text-anchor": "middle" }, names[j]);
  });
  const node = s("svg", {
    viewBox: `0 0 ${HEAD} ${HEAD}`, width: HEAD, height: HEAD, role: "group",
    "aria-label": `The ${ORDINALS[number]} head: keys and the query`,
  },
  s("path", { class: "axes", d: `M0 ${HEAD / 2}H${HEAD}M${HEAD / 2} 0V${HEAD}` }),
  ...marks, arrow, ...labels, query.node);
  const draw = (at) => {
    const [x, y] = place(at);
    query.draw(at, [x, y]);
    fill(arrow, { x2: x, y2: y }, []);
  };
  return { node, draw };
}

/** The plane of outputs: what can arrive, what is wanted, and the sum of two fetches. */
function outputPlane(names, payloads, limit) {
  const scale = (OUT / 2 - MARGIN) / limit;
  const place = ([x, y]) => [OUT / 2 + x * scale, OUT / 2 - y * scale];
  const [low, high] = [Math.min(...payloads), Math.max(...payloads)];
  const [left, bottom] = place([low, low]);
  const [right, top] = place([high, high]);
  const reach = s("path", { class: "hull reach" });
  const steps = [0, 1].map(() => s("line", { class: "fetched" }));
  const target = s("circle", { class: "target-mark", r: 12 });
  const output = s("path", { class: "output", d: "M0-8 8 0 0 8-8 0Z" });
  const labels = names.flatMap((name, j) => {
    const [x] = place([payloads[j], 0]);
    const [, y] = place([0, payloads[j]]);
    return [
      s("text", { x, y: OUT - 9, "text-anchor": "middle" }, name),
      s("text", { x: 3, y: y + 4 }, name),
    ];
  });
  const node = s("svg", { viewBox: `0 0 ${OUT} ${OUT}`, width: OUT, height: OUT, role: "img" },
    s("path", { class: "axes", d: `M0 ${OUT / 2}H${OUT}M${OUT / 2} 0V${OUT}` }),
    reach, ...labels, target, ...steps, output);
  const draw = (at, wanted, merged, words) => {
    const [x, y] = place(at);
    const [centre] = place([0, 0]);
    reach.setAttribute("d", merged
      ? `M${left} ${bottom}L${right} ${top}` : `M${left} ${bottom}H${right}V${top}H${left}Z`);
    fill(steps[0], { x1: centre, y1: centre, x2: x, y2: centre }, []);
    fill(steps[1], { x1: x, y1: centre, x2: x, y2: y }, []);
    target.setAttribute("transform", `translate(${place(wanted).join(" ")})`);
    output.setAttribute("transform", `translate(${x} ${y})`);
    node.setAttribute("aria-label", words);
  };
  return { node, draw };
}

function render({ model, el }) {
  const names = model.get("names");
  const payloads = model.get("payloads");
  const keys = model.get("head_keys");
  const wishes = model.get("wishes");
  const limit = model.get("limit");
  const traits = ["queries", "merged", "wish"];
  const set = (trait, value) => {
    model.set(trait, value);
    model.save_changes();
    announce.later();
  };
  const say = ([i, j]) => (i === j ? `${names[i]} twice` : `${names[i]}, ${names[j]}`);

  // ---- the planes
  const heads = keys.map((own, head) => headPlane(head, names, own, limit, (at) =>
    set("queries", model.get("queries").map((old, i) => (i === head ? at : old)))));
  const outputs = outputPlane(names, payloads, limit);
  const rows = names.map((name) => ({
    name: h("span", { class: "token" }, name),
    cells: [0, 1].map(() => ({ bar: h("i"), weight: h("data", { class: "number weight" }) })),
  }));

  // ---- controls
  const group = `attn-${Math.random().toString(36).slice(2)}`; // of its own on any page
  const choice = (trait, options) => {
    const radios = options.map(([value, text]) => {
      const input = h("input", {
        type: "radio", name: `${trait}-${group}`, value: String(value),
        onchange: () => set(trait, value),
      });
      return { value, input, node: h("label", {}, input, text) };
    });
    return {
      node: h("span", { class: "segments wrapping" }, ...radios.map(({ node }) => node)),
      draw: () => {
        for (const { value, input } of radios) input.checked = value === model.get(trait);
      },
    };
  };
  const kinds = choice("merged", [[false, "Two heads"], [true, "One wide head"]]);
  const wanted = choice("wish", wishes.map((pair, i) => [i, say(pair)]));
  const look = h("button", {
    type: "button",
    onclick: () => {
      const pair = wishes[model.get("wish")];
      // As far towards the wanted key as the plane goes.
      set("queries", keys.map((own, head) => {
        const key = own[pair[head]];
        const longest = Math.max(...key.map(Math.abs));
        return key.map((x) => (longest ? Math.round((100 * limit * x) / longest) / 100 : 0));
      }));
    },
  }, "Look there");

  // ---- read-outs
  const arrived = h("strong", { class: "arrived" });
  const wish = h("strong", { class: "wanted" });
  const outcome = h("data", { class: "wish" });
  const announce = announcer(() =>
    `${arrived.textContent} arrives, ${wish.textContent} is wanted: ${outcome.textContent}.`);

  const draw = () => {
    const merged = model.get("merged");
    const queries = model.get("queries");
    const weights = weightsOf(queries, keys, merged);
    const output = weights.map((row) => row.reduce((sum, w, j) => sum + w * payloads[j], 0));
    const pair = wishes[model.get("wish")];
    const target = pair.map((item) => payloads[item]);
    const miss = Math.hypot(output[0] - target[0], output[1] - target[1]);

    heads.forEach((head, i) => head.draw(queries[i]));
    rows.forEach(({ cells }, j) => cells.forEach(({ bar, weight }, head) => {
      bar.style.width = `${100 * weights[head][j]}%`;
      show(weight, weights[head][j], weights[head][j].toFixed(2));
    }));
    kinds.draw();
    wanted.draw();
    arrived.textContent = coordinates(output);
    wish.textContent = coordinates(target);
    show(outcome, miss, miss <= NEAR ? "met" : `missed by ${miss.toFixed(2)}`);
    outcome.classList.toggle("met", miss <= NEAR);
    outputs.draw(output, target, merged,
      `The plane of outputs. ${arrived.textContent} arrives, ${wish.textContent} is wanted. ` +
      (merged ? "Only the diagonal can be reached." : "A whole square can be reached."));
  };

  const head = (text, column) => h("span", { class: "head", style: `grid-column: ${column}` }, text);
  const remove = stage(model, el, traits, [
    h("div", { class: "controls" }, kinds.node,
      h("span", { class: "last" }, resetButton(model, traits, announce.later))),
    h("div", { class: "controls buttons" },
      h("span", { class: "choice" }, h("span", {}, "Wanted"), wanted.node), look),
    h("div", { class: "two-heads" },
      ...heads.map(({ node }, i) => h("figure", { class: `plane head-${i + 1}` }, node,
        h("figcaption", {}, `Head ${i + 1}`))),
      h("figure", { class: "plane outputs" }, outputs.node,
        h("figcaption", {}, "Output: head 1 across, head 2 up")),
      h("div", { class: "tokens by-two" },
        head("Item", "1"), head("Weight, head 1", "2 / span 2"), head("Weight, head 2", "4 / span 2"),
        ...rows.flatMap(({ name, cells }) => [name,
          ...cells.flatMap(({ bar, weight }) => [h("div", { class: "bar" }, bar), weight])]))),
    h("div", { class: "legends caption" },
      legend("query", queryMark()),
      legend("key", s("circle", { class: "key-mark", r: 8 })),
      legend("what a head brings", s("line", { class: "fetched", x1: -12, x2: 12 })),
      legend("output", s("path", { class: "output", d: "M0-8 8 0 0 8-8 0Z" })),
      legend("wanted", s("circle", { class: "target-mark", r: 11 }))),
    h("dl", { class: "readouts", style: "--columns: 3" },
      h("div", {}, h("dt", {}, "What arrives"), h("dd", {}, arrived)),
      h("div", {}, h("dt", {}, "What is wanted"), h("dd", {}, wish)),
      h("div", {}, h("dt", {}, "The wish is"), h("dd", {}, outcome))),
    announce.node,
  ], draw);
  return () => {
    announce.stop();
    remove();
  };
}

export default { render };
