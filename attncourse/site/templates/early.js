// What a page does before any other script of it runs.
(() => {
"use strict";

// A frame of a learning platform, or a browser that blocks cookies, may refuse to store anything:
// to ask for the storage then throws, here and in the scripts of Sphinx and the theme. Memory
// stands in for it, until the page is left.
function isRefused(storage) {
  try {
    return !window[storage];
  } catch {
    return true;
  }
}

class Memory {
  get length() {
    return Object.keys(this).length;
  }
  key(number) {
    return Object.keys(this)[number] ?? null;
  }
  getItem(name) {
    return Object.hasOwn(this, name) ? this[name] : null;
  }
  setItem(name, value) {
    this[name] = String(value);
  }
  removeItem(name) {
    delete this[name];
  }
  clear() {
    for (const name of Object.keys(this)) delete this[name];
  }
}

for (const storage of ["localStorage", "sessionStorage"]) {
  if (isRefused(storage)) Object.defineProperty(window, storage, { value: new Memory() });
}

const { dataset } = document.documentElement;
dataset.mode = localStorage.getItem("mode") || "auto";
dataset.theme = localStorage.getItem("theme") || "auto";

// A frame may also refuse to send a form, and then sends no event either: a link is followed.
if (window.parent !== window) {
  document.addEventListener("keydown", (event) => {
    const form = event.target.closest("form.bd-search");
    if (!form || event.key !== "Enter" || event.isComposing) return;
    event.preventDefault();
    const address = new URL(form.action);
    address.search = new URLSearchParams(new FormData(form));
    address.hash = "";
    location.assign(address);
  });
}
})();
