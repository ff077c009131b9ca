// Shows what the glossary says of a word: beside a pointer that rests on it, at the focus, and to a
// finger, which has no other way to ask before it follows a link.
(() => {
"use strict";

const REST = 300; // ms that a pointer has to rest on a word, so that reading on opens nothing
const GRACE = 250; // ms to get from the word to its card
const EDGE = 12; // px between the card and the edge of the screen
const GAP = 6; // px between the word and its card

const cardOf = (link) => document.getElementById(link.getAttribute("aria-describedby")).parentElement;
let open = null; // the word whose card is shown
let timer = 0;

function soon(delay, action) {
  clearTimeout(timer);
  timer = setTimeout(action, delay);
}

function show(link) {
  clearTimeout(timer);
  if (open === link) return;
  hide();
  open = link;
  const card = cardOf(link);
  card.hidden = false;
  place(card, link);
}

// A card that the keyboard asked for stays as long as the focus does.
function leave() {
  if (!open?.matches(":focus-visible")) hide();
}

function hide() {
  clearTimeout(timer);
  if (open) cardOf(open).hidden = true;
  open = null;
}

// Below the word, or above it where there is more room, and never off the screen.
function place(card, link) {
  const lines = link.getClientRects(); // two where the word is broken
  const last = lines[lines.length - 1];
  card.style.left = card.style.top = "0";
  const origin = card.getBoundingClientRect(); // wherever the card's coordinates begin
  const width = document.documentElement.clientWidth;
  const left = Math.max(EDGE, Math.min(last.left, width - origin.width - EDGE));
  const below = last.bottom + GAP;
  const above = lines[0].top - GAP - origin.height;
  const top = below + origin.height + EDGE <= window.innerHeight || above < EDGE ? below : above;
  card.style.left = `${left - origin.left}px`;
  card.style.top = `${top - origin.top}px`;
}

for (const link of document.querySelectorAll("a.attn-term")) {
  const card = cardOf(link);
  let finger = false;
  for (const element of [link, card]) {
    element.addEventListener("pointerenter", (event) => {
      if (event.pointerType === "touch") return;
      if (open === link) clearTimeout(timer);
      else if (element === link) soon(REST, () => show(link));
    });
    element.addEventListener("pointerleave", (event) => {
      if (event.pointerType !== "touch") soon(GRACE, leave);
    });
  }
  link.addEventListener("focus", () => {
    if (link.matches(":focus-visible")) show(link);
  });
  link.addEventListener("blur", (event) => {
    if (open === link && !card.contains(event.relatedTarget)) hide();
  });
  link.addEventListener("pointerdown", (event) => {
    finger = event.pointerType === "touch";
  });
  link.addEventListener("click", (event) => {
    if (!finger || event.detail === 0 || open === link) return; // 0: the Enter key
    event.preventDefault(); // the card has the link, and so has a second tap
    show(link);
  });
}

document.addEventListener("pointerdown", (event) => {
  if (open && !open.contains(event.target) && !cardOf(open).contains(event.target)) hide();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") hide();
});
window.addEventListener("resize", hide);
})();
