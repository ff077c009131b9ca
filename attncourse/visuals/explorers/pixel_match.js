const [MIN_TEMPERATURE, MAX_TEMPERATURE] = [2 ** -9, 1];

/** The photograph's numbers, 0 to 1, in the order row, column, channel. */
function decode(base64) {
  return Float64Array.from(atob(base64), (character) => character.charCodeAt(0) / 255);
}

/** One row of features per pixel, and each row's length: `[H·W, d]` and `[H·W]`. */
function tokensOf(colours, height, width, features, centred) {
  const n = height * width;
  const reach = features === "neighbourhood" ? 1 : 0;
  const d = 3 * (2 * reach + 1) ** 2;
  const x = new Float64Array(n * d);
  const within = (i, size) => Math.min(size - 1, Math.max(0, i));
  let next = 0;
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      for (let down = -reach; down <= reach; down++) {
        for (let right = -reach; right <= reach; right++) {
          const from = 3 * (within(row + down, height) * width + within(column + right, width));
          for (let channel = 0; channel < 3; channel++) x[next++] = colours[from + channel];
        }
      }
    }
  }
  if (centred) {
    for (let k = 0; k < d; k++) {
      let mean = 0;
      for (let i = k; i < x.length; i += d) mean += x[i] / n;
      for (let i = k; i < x.length; i += d) x[i] -= mean;
    }
  }
  const lengths = new Float64Array(n);
  for (let i = 0; i < n; i++) {
    let square = 0;
    for (let k = i * d; k < (i + 1) * d; k++) square += x[k] * x[k];
    lengths[i] = Math.sqrt(square);
  }
  return { x, d, n, lengths };
}

/** Dot product or cosine of one pixel's features with every pixel's; a zero vector's cosine is 0. */
function affinities({ x, d, n, lengths }, picked, kind) {
  const query = x.subarray(picked * d, (picked + 1) * d);
  const scores = new Float64Array(n);
  for (let i = 0; i < n; i++) {
    let dot = 0;
    for (let k = 0; k < d; k++) dot += query[k] * x[i * d + k];
    scores[i] = kind === "dot" ? dot : dot / (lengths[picked] * lengths[i] || 1);
  }
  return scores;
}

/** The index of the largest score; the picked pixel itself where none is truly larger. */
function bestMatch(scores, picked) {
  let best = picked;
  for (let i = 0; i < scores.length; i++) if (scores[i] > scores[best] + 1e-9) best = i;
  return best;
}

/** Colours from `low` to `high` in 256 steps that look equal: a straight line in OKLab. */
function ramp(low, high) {
  const linear = (c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  const gamma = (c) => (c <= 0.0031308 ? 12.92 * c : 1.055 * c ** (1 / 2.4) - 0.055);
  const toLab = (rgb) => {
    const [r, g, b] = rgb.map((c) => linear(c / 255));
    const [l, m, t] = [
      Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b),
      Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b),
      Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b),
    ];
    return [
      0.2104542553 * l + 0.793617785 * m - 0.0040720468 * t,
      1.9779984951 * l - 2.428592205 * m + 0.4505937099 * t,
      0.0259040371 * l + 0.7827717662 * m - 0.808675766 * t,
    ];
  };
  const toRgb = ([lightness, a, b]) => {
    const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
    const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
    const t = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
    return [
      4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * t,
      -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * t,
      -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * t,
    ].map((c) => 255 * gamma(Math.min(1, Math.max(0, c))));
  };
  const [from, to] = [toLab(low), toLab(high)];
  const colours = new Uint8ClampedArray(256 * 4);
  for (let step = 0; step < 256; step++) {
    const mixed = from.map((f, i) => f + (to[i] - f) * (step / 255));
    colours.set([...toRgb(mixed), 255], 4 * step);
  }
  return colours;
}

/**
 * Calls `changed` when the page or the reader's system goes from light to dark or back, and perhaps
 * more often: each host says it by another attribute.
 */
function watchTheme(changed) {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const observer = new MutationObserver(changed);
  for (const node of [document.documentElement, document.body]) {
    observer.observe(node, { attributes: true });
  }
  system.addEventListener("change", changed);
  return () => {
    observer.disconnect();
    system.removeEventListener("change", changed);
  };
}

/** A query is a square around its pixel, the best key a ring: shape and colour both differ. */
function mark(kind) {
  const shape = (className) => kind === "query"
    ? s("rect", { class: className, x: -0.4, y: -0.4, width: 1.8, height: 1.8 })
    : s("circle", { class: className, cx: 0.5, cy: 0.5, r: 1.9 });
  return s("g", {}, shape("casing"), shape(`mark-${kind}`));
}

function legend(kind, text) {
  const shape = kind === "query"
    ? s("rect", { class: "mark-query", x: 2, y: 2, width: 10, height: 10 })
    : s("circle", { class: "mark-key", cx: 7, cy: 7, r: 5.5 });
  return h("span", { class: "legend" }, s("svg", { viewBox: "0 0 14 14", "aria-hidden": "true" }, shape), text);
}

/** A canvas of one dot per pixel under a drawing of the two marks. */
function panel(height, width, attributes) {
  const canvas = h("canvas", { width, height });
  const marks = { key: mark("key"), query: mark("query") };
  const node = h("div", attributes, canvas,
    s("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" }, marks.key, marks.query));
  const move = (kind, i) => marks[kind].setAttribute(
    "transform", `translate(${i % width} ${Math.floor(i / width)})`);
  return { node, canvas, context: canvas.getContext("2d"), move };
}

function render({ model, el }) {
  const [height, width] = [model.get("height"), model.get("width")];
  const n = height * width;
  const colours = decode(model.get("pixels"));
  const traits = ["pick", "affinity", "features", "centred", "temperature"];

  const known = new Map();
  const tokens = () => {
    const kind = [model.get("features"), model.get("centred")];
    const name = kind.join();
    if (!known.has(name)) known.set(name, tokensOf(colours, height, width, ...kind));
    return known.get(name);
  };

  // ---- the photograph, on which the reader picks
  const pick = (row, column) => {
    const clamp = (i, size) => Math.min(size - 1, Math.max(0, i));
    const next = [clamp(row, height), clamp(column, width)];
    if (next.join() === model.get("pick").join()) return;
    model.set("pick", next);
    model.save_changes();
    announce.later();
  };
  const pickOn = ({ node }) => (event) => {
    const [right, down] = pointerOn(node, event);
    photo.node.focus({ preventScroll: true }); // the arrow keys go on from either picture
    pick(Math.floor(down * height), Math.floor(right * width));
  };
  const photo = panel(height, width, {
    class: "picture photo",
    role: "slider", tabindex: 0, "aria-label": `Picked pixel. Photograph: ${model.get("alt")}`,
    "aria-valuemin": 0, "aria-valuemax": n - 1,
    onkeydown: (event) => {
      const [row, column] = model.get("pick");
      const step = event.shiftKey ? 5 : 1;
      const target = {
        ArrowUp: [row - step, column],
        ArrowDown: [row + step, column],
        ArrowLeft: [row, column - step],
        ArrowRight: [row, column + step],
        Home: [row, 0],
        End: [row, width - 1],
        PageUp: [0, column],
        PageDown: [height - 1, column],
      }[event.key];
      if (!target || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      pick(...target);
    },
  });
  const image = new ImageData(width, height);
  for (let i = 0; i < n; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = 255 * colours[3 * i + c];
    image.data[4 * i + 3] = 255;
  }
  photo.context.putImageData(image, 0, 0);

  // ---- the map of the weights
  const map = panel(height, width, { class: "picture map", role: "img" });
  for (const either of [photo, map]) pickable(either.node, pickOn(either));
  const bar = h("canvas", { width: 256, height: 1, "aria-hidden": "true" });
  const scaleEnd = h("data", { class: "number scale-end" });
  let shades; // one colour per step, made anew for each theme
  const mix = () => {
    const probe = h("canvas", { width: 1, height: 1 }).getContext("2d", { willReadFrequently: true });
    const rgb = (property) => {
      // As a colour: the property's own text may leave it open whether it is light or dark.
      map.node.style.color = `var(${property})`;
      probe.fillStyle = getComputedStyle(map.node).color;
      map.node.style.color = "";
      probe.fillRect(0, 0, 1, 1);
      return [...probe.getImageData(0, 0, 1, 1).data.slice(0, 3)];
    };
    shades = ramp(rgb("--paper"), rgb("--key"));
    bar.getContext("2d").putImageData(new ImageData(shades, 256, 1), 0, 0);
  };

  // ---- controls
  const control = (trait, value) => {
    model.set(trait, value);
    model.save_changes();
    announce.later();
  };
  const radios = {};
  const choice = (trait, label, options) => {
    radios[trait] = options.map(([value]) =>
      h("input", { type: "radio", name: trait, value, onchange: () => control(trait, value) }));
    return h("div", { class: "choice", role: "radiogroup", "aria-label": label },
      h("span", { "aria-hidden": "true" }, label),
      h("div", { class: "segments" },
        ...options.map(([, text], i) => h("label", {}, radios[trait][i], text))));
  };
  const centred = h("input", {
    type: "checkbox", onchange: () => control("centred", centred.checked),
  });

  // ---- read-outs
  const where = h("strong", { class: "where" });
  const swatch = h("span", { class: "swatch" });
  const colour = h("span", { class: "caption" });
  const own = h("data", { class: "own" });
  const fair = h("span", { class: "caption" }, `equal share: ${percent(1 / n)}`);
  const match = h("strong", { class: "match" });
  const matchWeight = h("data", { class: "match-weight" });
  const effective = h("data", { class: "effective" });
  const summary = () =>
    `It gives itself ${own.textContent}. Best match: ${match.textContent}, ` +
    `${matchWeight.textContent}. In effect it attends to ${effective.textContent} of ${n} pixels.`;
  const announce = announcer(summary);
  const slider = temperatureSlider(model, MIN_TEMPERATURE, MAX_TEMPERATURE, announce.later);

  const draw = () => {
    const [row, column] = model.get("pick");
    const picked = row * width + column;
    const scores = affinities(tokens(), picked, model.get("affinity"));
    const weights = softmax(scores, model.get("temperature"));
    const best = bestMatch(scores, picked);
    const top = weights[best];
    // From 0 up to at least four equal shares: weights that are nearly equal have to look equal,
    // and faint.
    const end = Math.max(top, 4 / n);

    if (!shades) mix();
    const heat = new ImageData(width, height);
    for (let i = 0; i < n; i++) {
      const step = Math.min(255, Math.round((255 * weights[i]) / end));
      heat.data.set(shades.subarray(4 * step, 4 * step + 4), 4 * i);
    }
    map.context.putImageData(heat, 0, 0);
    for (const { move } of [photo, map]) {
      move("query", picked);
      move("key", best);
    }

    slider.draw();
    for (const [trait, inputs] of Object.entries(radios)) {
      for (const input of inputs) input.checked = input.value === model.get(trait);
    }
    centred.checked = model.get("centred");

    const rgb = [...colours.subarray(3 * picked, 3 * picked + 3)];
    where.textContent = `row ${row}, column ${column}`;
    swatch.style.background = `rgb(${rgb.map((c) => Math.round(255 * c)).join(" ")})`;
    colour.textContent = `(${rgb.map((c) => c.toFixed(2)).join(", ")})`;
    show(own, weights[picked], percent(weights[picked]));
    match.textContent = best === picked
      ? "itself" : `row ${Math.floor(best / width)}, column ${best % width}`;
    show(matchWeight, top, percent(top));
    show(scaleEnd, end, percent(end));
    show(effective, effectiveNumber(weights), digits(effectiveNumber(weights)));

    photo.node.setAttribute("aria-valuenow", picked);
    photo.node.setAttribute("aria-valuetext", `row ${row}, column ${column}`);
    map.node.setAttribute("aria-label",
      `Map of the weights of all ${n} pixels for the picked one. ${summary()}`);
  };

  const remove = stage(model, el, traits, [
    h("div", { class: "panels" },
      h("figure", {}, photo.node, h("figcaption", {},
        legend("query", "picked pixel, the query"), legend("key", "best match"))),
      h("figure", {}, map.node, h("figcaption", {}, h("span", { class: "scale" },
        "Weight 0", bar, scaleEnd)))),
    h("div", { class: "caption" },
      "Pick a pixel in either picture: click, tap or drag, or move it with the arrow keys."),
    h("div", { class: "controls" },
      choice("affinity", "Affinity", [["dot", "dot product"], ["cosine", "cosine"]]),
      slider.node,
      choice("features", "Features", [["colour", "colour (3)"], ["neighbourhood", "3 \u00d7 3 colours (27)"]]),
      h("label", { class: "check" }, centred, "subtract the mean"),
      h("span", { class: "last" }, resetButton(model, traits, announce.later))),
    h("dl", { class: "readouts", style: "--columns: 4" },
      h("div", {}, h("dt", {}, "Picked pixel"), h("dd", {}, where, h("br"), swatch, colour)),
      h("div", {}, h("dt", {}, "Weight it gives itself"),
        h("dd", {}, h("strong", {}, own), h("br"), fair)),
      h("div", {}, h("dt", {}, "Best match"),
        h("dd", {}, match, h("br"), h("span", { class: "caption" }, "weight ", matchWeight))),
      h("div", {}, h("dt", {}, "Attends to, in effect"),
        h("dd", {}, h("strong", {}, effective), h("br"), h("span", { class: "caption" }, `of ${n} pixels`)))),
    announce.node,
  ], draw);
  const unwatch = watchTheme(() => {
    mix();
    draw();
  });
  return () => {
    unwatch();
    announce.stop();
    remove();
  };
}

export default { render };
