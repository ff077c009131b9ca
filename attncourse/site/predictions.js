// Makes each prediction of the page a commitment: chosen, then confirmed, then remembered. Its
// answers move to the place where it is settled, since they say what only the run should.
(() => {
"use strict";

const PREFIX = "attn-prediction:";

// A browser may refuse its storage, or be given memory in its place (templates/early.js). What the
// reader committed to then lasts as long as the page.
function withStorage(use, otherwise) {
  try {
    const { localStorage } = window;
    return localStorage instanceof Storage ? use(localStorage) : otherwise;
  } catch {
    return otherwise;
  }
}

function keptKeys() {
  return withStorage((kept) => Object.keys(kept).filter((key) => key.startsWith(PREFIX)), []);
}

function element(tag, attributes = {}, ...content) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...content);
  return made;
}

function button(words, onclick) {
  const made = element("button", { type: "button" }, words);
  made.onclick = onclick;
  return made;
}

function link(target, words) {
  return element("a", { href: `#${target.id}` }, words);
}

class Prediction {
  #asked;
  #place;
  #key;
  #edition;
  #radios = [];
  #told = []; // of each choice: what it says, and the answer to it
  #others = element("details");
  #said;
  #commit;
  #committed = -1; // the number of the choice, or -1
  #kept = true; // by the browser, when the page is left
  #oncommit;

  constructor(asked, oncommit) {
    this.#asked = asked;
    this.#oncommit = oncommit;
    this.#place = document.getElementById(asked.dataset.place);
    this.#key = PREFIX + asked.dataset.key;
    this.#edition = asked.dataset.edition;
    for (const choice of [...asked.querySelectorAll(":scope > details")]) this.#put(choice);
    this.#said = element("p", { id: `${asked.id}-said`, role: "status" });
    this.#commit = button("Commit", () => this.#confirm());
    this.#commit.setAttribute("aria-describedby", this.#said.id);
    asked.append(element("div", { class: "attn-commit" }, this.#commit, this.#said));
    this.#place.classList.add("attn-settled");
    this.#committed = this.#recalled();
    this.#show();
  }

  #put(choice) {
    const summary = choice.firstElementChild;
    const words = summary.firstElementChild;
    summary.remove();
    const radio = element("input", { type: "radio", name: this.#asked.id, autocomplete: "off" });
    radio.onchange = () => this.#invite();
    this.#radios.push(radio);
    const you = element("span", { class: "attn-you" }, "You predicted: ");
    const said = element("p", { class: "attn-told-choice" }, you, words);
    this.#told.push(element("div", { class: "attn-told" }, said, ...choice.childNodes));
    choice.replaceWith(element("label", { class: "attn-choice" }, radio, words.cloneNode(true)));
  }

  // The edition is kept too: a choice of a prediction that has been rewritten is none of this one.
  #entry(number) {
    return `${this.#edition}:${number}`;
  }

  #recalled() {
    const entry = withStorage((kept) => kept.getItem(this.#key), null);
    return this.#radios.findIndex((_, number) => this.#entry(number) === entry);
  }

  #confirm() {
    const number = this.#radios.findIndex((radio) => radio.checked);
    if (number < 0) return;
    this.#kept = withStorage((kept) => {
      kept.setItem(this.#key, this.#entry(number));
      return true;
    }, false);
    this.#committed = number;
    this.#show();
    this.#said.querySelector("a").focus(); // the button is gone
    this.#oncommit();
  }

  // What another tab, or the page's foot, has changed.
  refresh() {
    const number = this.#recalled();
    if (number === this.#committed) return;
    this.#committed = number;
    this.#show();
  }

  #show() {
    const committed = this.#committed >= 0;
    this.#asked.classList.toggle("attn-committed", committed);
    for (const [number, radio] of this.#radios.entries()) {
      radio.checked = number === this.#committed;
      radio.disabled = committed;
      this.#told[number].classList.toggle("attn-chosen", radio.checked);
      this.#told[number].querySelector(".attn-you").hidden = !radio.checked;
    }
    this.#commit.hidden = committed;
    if (committed) {
      const below = link(this.#place, "The run below");
      const forgotten = "Your browser keeps nothing here: the choice is forgotten when you leave. ";
      this.#said.replaceChildren(
        "Committed. ", this.#kept ? "" : forgotten, below, " says what happens.",
      );
    } else this.#invite();

    const others = this.#told.filter((_, number) => number !== this.#committed);
    this.#others.open = false;
    this.#others.replaceChildren(
      element("summary", {}, `The answers to ${committed ? "the other" : "all"} choices`),
      ...others,
    );
    const first = committed
      ? this.#told[this.#committed]
      : element("p", { class: "attn-unasked" }, link(this.#asked, "You have not predicted yet"));
    this.#place.replaceChildren(first, this.#others);
  }

  // Not `disabled`: the button can then be reached, and says why it does nothing.
  #invite() {
    const chosen = this.#radios.some((radio) => radio.checked);
    this.#commit.setAttribute("aria-disabled", String(!chosen));
    const words = chosen
      ? "You can change it until you commit."
      : "Choose one first. You can change it until you commit.";
    if (this.#said.textContent !== words) this.#said.textContent = words; // not read out again
  }
}

// The offer to clear all, which stands in the page's foot while there is something to clear.
class Forgetting {
  #offer = button("Forget my predictions", () => this.#ask());
  #question = element("span", { id: "attn-forget-question" });
  #keep = button("Keep them", () => this.#leave());
  #asking = element(
    "div",
    { role: "group", "aria-labelledby": this.#question.id },
    this.#question,
    element("span", {}, this.#keep, button("Forget them", () => this.#forget())),
  );
  #said = element("p", { role: "status", tabindex: "-1" });
  #onforget;

  constructor(foot, onforget) {
    this.#onforget = onforget;
    this.#asking.onkeydown = (event) => {
      if (event.key === "Escape") this.#leave();
    };
    foot.append(this.#offer, this.#asking, this.#said);
    this.refresh();
  }

  refresh() {
    this.#offer.hidden = keptKeys().length === 0;
    this.#asking.hidden = true;
    this.#said.textContent = "";
  }

  #ask() {
    const number = keptKeys().length;
    this.#question.textContent =
      number === 1
        ? "Forget the one prediction that this browser keeps?"
        : `Forget all ${number} predictions that this browser keeps?`;
    this.#offer.hidden = true;
    this.#asking.hidden = false;
    this.#keep.focus();
  }

  #leave() {
    this.refresh();
    this.#offer.focus();
  }

  #forget() {
    const keys = keptKeys();
    withStorage((kept) => keys.forEach((key) => kept.removeItem(key)));
    this.#onforget();
    this.refresh();
    this.#said.textContent =
      keys.length === 1 ? "One prediction forgotten." : `${keys.length} predictions forgotten.`;
    this.#said.focus();
  }
}

const foot = document.querySelector(".attn-forget");
const predictions = [...document.querySelectorAll(".attn-predict")].map(
  (asked) => new Prediction(asked, () => forgetting.refresh()),
);
const forgetting = new Forgetting(foot, refreshPredictions);

function refreshPredictions() {
  for (const prediction of predictions) prediction.refresh();
}

function refreshAll() {
  refreshPredictions();
  forgetting.refresh();
}

addEventListener("storage", refreshAll);
addEventListener("pageshow", (event) => {
  if (event.persisted) refreshAll(); // back on a page that was left as it stood
});
})();
