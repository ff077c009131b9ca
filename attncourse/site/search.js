// The page of the search: ranks the places of the book (attn-search-data.js) with MiniSearch and
// shows a line of each. It fetches nothing, so it works from a file too.
(() => {
"use strict";

const SHOWN = 20;
const LINE = 220; // characters of a place's text

// Words as this book has them: 1×1, W^Q, d_model, a root. So is an equation of two letters, K = V.
const WORD = /√|\p{N}+ ?[×x] ?\p{N}+(?![\p{L}\p{N}_])|\p{L}\^\p{L}(?![\p{L}\p{N}_])|[\p{L}\p{N}_]+/gu;
const EQUATION = /(?<![\p{L}\p{N}_])(\p{L})\s*=\s*(?=(\p{L})(?![\p{L}\p{N}_]))/gu;
const SYMBOL = /(?<![\p{L}\p{N}_])(\p{L})_([\p{Lu}\p{Ll}]+|\p{N})(?![\p{Lu}\p{Ll}\p{N}_])/u;

const stemmer = new Stemmer(); // of Sphinx, as is the list of stopwords
const stem = (word) => (/^[a-z]{3,}$/.test(word) ? stemmer.stemWord(word) : word);

// A word's own form, and the others in which a reader may look for it.
function formsOf(written) {
  const word = written.replaceAll("ᵀ", "").normalize("NFKC").replaceAll(" ", "").replace("^", "_");
  const small = word.toLowerCase().replaceAll("×", "x").replace("√", "sqrt");
  const forms = [small];
  if (/^\p{L}_\p{L}$/u.test(small)) forms.push(small.replace("_", "")); // W_q as Wq
  const parts = word.split(/_|(?<=\p{Ll})(?=\p{Lu})/u).filter((part) => part.length > 1);
  if (parts.length > 1 || (parts.length === 1 && parts[0] !== word)) {
    forms.push(...parts.map((part) => part.toLowerCase())); // cosine_affinity, SelfAttention
  }
  return forms.filter((form) => !stopwords.includes(form)).map(stem);
}

function* wordsOf(text) {
  for (const found of text.matchAll(WORD)) {
    yield { start: found.index, end: found.index + found[0].length, forms: formsOf(found[0]) };
  }
  for (const { 0: left, 1: a, 2: b, index } of text.matchAll(EQUATION)) {
    yield { start: index, end: index + left.length + b.length, forms: [`${a}=${b}`.toLowerCase()] };
  }
}

const termsOf = (text) => [...wordsOf(text)].flatMap((word) => word.forms);

const index = new MiniSearch({
  fields: ["title", "keywords", "page", "text", "code"],
  tokenize: termsOf,
  processTerm: (term) => term,
  searchOptions: {
    boost: { title: 4, keywords: 4, page: 2, code: 0.3 },
    prefix: (term) => term.length > 3,
    fuzzy: (term) => (term.length > 5 ? 0.2 : false),
    boostDocument: (id) => (searchPlaces[id].is_reference ? 0.4 : 1),
  },
});
index.addAll(searchPlaces.map((place, id) => ({ id, ...place })));

function find(query) {
  const all = index.search(query, { combineWith: "AND" });
  return all.length ? { found: all, every: true } : { found: index.search(query), every: false };
}

// The part of the text in which most of the words stand.
function lineOf(text, terms) {
  const hits = [...wordsOf(text)].filter((word) => word.forms.some((form) => terms.has(form)));
  let best = { count: 0, start: 0 };
  for (const { start } of hits) {
    const within = hits.filter((hit) => hit.start >= start && hit.end <= start + LINE * 0.7);
    const count = new Set(within.flatMap((hit) => hit.forms)).size;
    if (count > best.count) best = { count, start };
  }
  let begin = Math.max(0, best.start - Math.round(LINE * 0.3));
  if (begin > 0) begin = text.indexOf(" ", begin) + 1;
  let end = Math.min(text.length, begin + LINE);
  if (end < text.length) end = text.lastIndexOf(" ", end);
  return { begin, end, hits: hits.filter((hit) => hit.start >= begin && hit.end <= end) };
}

function marked(text, terms) {
  const { begin, end, hits } = lineOf(text, terms);
  const line = document.createElement("p");
  let at = begin;
  if (begin > 0) line.append("… ");
  for (const hit of hits.sort((a, b) => a.start - b.start)) {
    if (hit.end <= at) continue;
    const word = document.createElement("mark");
    word.textContent = text.slice(Math.max(at, hit.start), hit.end);
    line.append(text.slice(at, Math.max(at, hit.start)), word);
    at = hit.end;
  }
  line.append(text.slice(at, end));
  if (end < text.length) line.append(" …");
  return line;
}

// A name as it is printed: d_k with its subscript.
function printed(name) {
  return name.split(SYMBOL).map((part, i) => {
    if (i % 3 === 0) return part;
    const piece = document.createElement(i % 3 === 1 ? "i" : "sub");
    piece.textContent = part;
    return piece;
  });
}

function item({ id, terms }) {
  const { address, title, page, text } = searchPlaces[id];
  const li = document.createElement("li");
  const link = document.createElement("a");
  link.href = document.documentElement.dataset.content_root + address;
  link.append(...printed(title));
  li.append(link);
  if (page !== title) {
    const where = document.createElement("span");
    where.append(...printed(page));
    li.append(" ", where);
  }
  if (text) li.append(marked(text, new Set(terms)));
  return li;
}

function say(query, found, every) {
  const places = found.length === 1 ? "One place" : `${found.length} places`;
  if (!found.length) {
    return `Nothing in the book has “${query}”. Try another word for it, or fewer words.`;
  }
  if (!every) return `No place has all of these words. ${places} with some of them:`;
  const first = found.length > SHOWN ? `, the best ${SHOWN} of which are` : "";
  return `${places} with “${query}”${first}:`;
}

const query = (new URLSearchParams(location.search).get("q") ?? "").trim();
if (query) {
  for (const field of document.querySelectorAll('input[name="q"]')) field.value = query;
  const { found, every } = find(query);
  document.getElementById("search-status").textContent = say(query, found, every);
  document.getElementById("search-results").append(...found.slice(0, SHOWN).map(item));
  document.getElementById("search-index").hidden = found.length > 0;
} else {
  document.querySelector(".attn-search input").focus();
}
})();
