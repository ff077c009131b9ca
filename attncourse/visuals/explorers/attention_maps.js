/** A map of numbers, one for each cell, under a picked cell and frames around those asked for. */
function weightGrid(height, width) {
  const cells = Array.from({ length: height * width }, () => h("span", {}, h("data")));
  const node = h("div", { class: "cells pickable", role: "img", style: `--columns: ${width}` }, ...cells);
  const draw = (weights, picked, wanted) => cells.forEach((cell, i) => {
    show(cell.firstChild, weights[i], String(Math.round(100 * weights[i])));
    cell.style.setProperty("--heat", weights[i]);
    cell.classList.toggle("asks", i === picked);
    cell.classList.toggle("wanted", wanted.includes(i));
  });
  return { node, draw };
}

const sumOver = (weights, cells) => cells.reduce((sum, i) => sum + weights[i], 0);

function render({ model, el }) {
  const [height, width] = [model.get("height"), model.get("width")];
  const [labels, modes, texts] = ["labels", "modes", "texts"].map((name) => model.get(name));
  const traits = ["pick", "question", "masked"];
  const now = () => ({
    picked: model.get("pick"),
    wanted: model.get("wanted")[model.get("question")],
    maps: model.get("maps")[model.get("question")][Number(model.get("masked"))],
  });
  const change = (trait, value) => {
    model.set(trait, value);
    model.save_changes();
    announce.later();
  };

  // ---- the picture, and the maps, in each of which a cell can be picked
  const clamp = (i, size) => Math.min(size - 1, Math.max(0, i));
  const pick = (row, column) => {
    const next = clamp(row, height) * width + clamp(column, width);
    if (next !== model.get("pick")) change("pick", next);
  };
  const pickOn = (node) => pickable(node, (event) => {
    const [right, down] = pointerOn(node, event);
    scene.focus({ preventScroll: true }); // the arrow keys go on from wherever was pressed
    pick(Math.floor(down * height), Math.floor(right * width));
  });
  const marker = h("span", { class: "marker", style: `width: ${100 / width}%` });
  const scene = h("div", {
    class: "scene pickable", role: "slider", tabindex: 0, "aria-label": "The cell that asks",
    "aria-valuemin": 0, "aria-valuemax": height * width - 1,
    onkeydown: (event) => {
      const [row, column] = [Math.floor(model.get("pick") / width), model.get("pick") % width];
      const target = {
        ArrowUp: [row - 1, column], ArrowDown: [row + 1, column],
        ArrowLeft: [row, column - 1], ArrowRight: [row, column + 1],
        Home: [row, 0], End: [row, width - 1], PageUp: [0, column], PageDown: [height - 1, column],
      }[event.key];
      if (!target || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      pick(...target);
    },
  }, s("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" }, s("image", {
    href: model.get("source"), width, height, preserveAspectRatio: "none",
  })), marker);
  const grids = modes.map(() => weightGrid(height, width));
  for (const node of [scene, ...grids.map((grid) => grid.node)]) pickOn(node);

  // ---- read-outs
  const who = h("strong", { class: "who" });
  const here = modes.map(() => h("data", { class: "here" }));
  const everywhere = modes.map(() => h("data", { class: "everywhere" }));
  const summary = () => `${who.textContent}. Weight on what it asks for: ` +
    `${modes.map((mode, i) => `${mode} ${here[i].textContent}`).join(", ")}.`;
  const announce = announcer(summary);

  // ---- controls
  const radios = texts.map((text, i) => h("input", {
    type: "radio", name: "question", value: i, onchange: () => change("question", i),
  }));
  const own = h("input", { type: "checkbox", onchange: () => change("masked", !own.checked) });

  const whole = (share) => `${Math.round(100 * share)}\u00a0%`;
  const draw = () => {
    const { picked, wanted, maps } = now();
    const [row, column] = [Math.floor(picked / width), picked % width];
    marker.style.left = `${(100 * column) / width}%`;
    marker.style.top = `${(100 * row) / height}%`;
    who.textContent = labels[picked];
    fill(scene, {
      "aria-valuenow": picked,
      "aria-valuetext": `row ${row + 1}, column ${column + 1}: ${labels[picked]}`,
    }, []);
    maps.forEach((weights, i) => {
      grids[i].draw(weights[picked], picked, wanted[picked]);
      const shares = weights.map((each, asks) => sumOver(each, wanted[asks]));
      const mean = shares.reduce((sum, share) => sum + share, 0) / shares.length;
      show(here[i], shares[picked], whole(shares[picked]));
      show(everywhere[i], mean, whole(mean));
      grids[i].node.setAttribute("aria-label",
        `${modes[i]}: weights of the ${height} by ${width} cells for ${labels[picked]}. ` +
        `On what it asks for: ${here[i].textContent}.`);
    });
    radios.forEach((radio, i) => { radio.checked = i === model.get("question"); });
    own.checked = !model.get("masked");
  };

  const n = height * width;
  const remove = stage(model, el, traits, [
    h("div", { class: "controls" },
      h("div", { class: "choice", role: "radiogroup", "aria-label": "What is asked" },
        h("span", { "aria-hidden": "true" }, "Asks for"),
        h("div", { class: "segments wrapping" },
          ...texts.map((text, i) => h("label", {}, radios[i], text)))),
      h("label", { class: "check" }, own, "sees its own place"),
      h("span", { class: "last" }, resetButton(model, traits, () => announce.later()))),
    h("div", { class: "attention-maps", style: `--modes: ${modes.length}` },
      h("figure", { class: "of-scene" },
        h("figcaption", {}, roomFor([who], labels.map((label) => [label]))), scene),
      ...modes.map((mode, i) => h("figure", {},
        h("figcaption", {}, mode), grids[i].node,
        h("div", { class: "share" }, h("strong", {}, here[i]),
          h("span", { class: "caption" }, everywhere[i], ` over all ${n}`))))),
    h("div", { class: "caption" },
      "Weights in per cent; framed, the cells that it asks for, and below each map their weight. ",
      "Pick a cell in any picture: click, tap or drag, or move with the arrow keys."),
    announce.node,
  ], draw);
  return () => {
    announce.stop();
    remove();
  };
}

export default { render };
