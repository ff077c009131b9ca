// Gives each explorer of the page what anywidget gives it in a notebook: a model and an element.
class Model {
  #state;
  #listeners = {};
  constructor(state) {
    this.#state = state;
  }
  get(name) {
    return this.#state[name];
  }
  set(name, value) {
    if (Object.is(this.#state[name], value)) return;
    this.#state[name] = value;
    for (const callback of [...(this.#listeners[`change:${name}`] ?? [])]) callback();
  }
  save_changes() {}
  on(event, callback) {
    (this.#listeners[event] ??= []).push(callback);
  }
  off(event, callback) {
    const listeners = this.#listeners[event] ?? [];
    this.#listeners[event] = callback ? listeners.filter((each) => each !== callback) : [];
  }
}

function mountAll() {
  for (const el of document.querySelectorAll(".attn-mount")) {
    const explorer = explorers[el.dataset.explorer];
    if (!explorer) throw new Error(`no explorer is called ${el.dataset.explorer}`);
    const model = new Model(JSON.parse(el.dataset.state));
    el.replaceChildren();
    explorer.render({ model, el });
  }
}

if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", mountAll);
else mountAll();
