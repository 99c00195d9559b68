// The browser of edits: a list of which only the visible rows exist, and the edit that is chosen.
"use strict";
const { prompts, methods, edits, phases, extent } = JSON.parse(document.getElementById("edits-data").textContent);
const ROW = 44; // pixels, as in the style
const SEARCHED = edits.map(searched);
const [list, rows, detail, count] = ["list", "rows", "detail", "count"].map(byId);
const filters = ["find", "method", "outcome", "scope"].map(byId);
let shown = []; // indices of the edits that pass the filters
let chosen = 0; // place in them

function byId(id) { return document.getElementById(id); }

function searched(edit) {
  const { place, prompt } = prompts[edit.prompt];
  return [edit.id, place, words(edit.target), words(edit.before[0]), prompt].join("\n").toLowerCase();
}

// An element with attributes and children; text is text, never markup.
function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

// A token as it is, its blanks and line ends visible; or its id, where the text is not known.
function token(of) { return make("code", {}, words(of)); }

function words(of) { return typeof of === "number" ? `id ${of}` : JSON.stringify(of); }

function filter(keep) {
  const [find, method, outcome, scope] = filters.map((field) => field.value);
  const words = find.toLowerCase().split(/\s+/).filter(Boolean);
  shown = [];
  edits.forEach((edit, index) => {
    const fits = (method === "" || edit.method === Number(method)) &&
      (outcome === "" || edit.outcome === outcome) &&
      (scope === "" || prompts[edit.prompt].scope === scope) &&
      words.every((word) => SEARCHED[index].includes(word));
    if (fits) shown.push(index);
  });
  count.textContent = `${shown.length} of ${edits.length}`;
  rows.style.height = `${shown.length * ROW}px`;
  choose(Math.max(0, shown.indexOf(keep)));
}

function draw() {
  const first = Math.max(0, Math.floor(list.scrollTop / ROW) - 5);
  const last = Math.min(shown.length, Math.ceil((list.scrollTop + list.clientHeight) / ROW) + 5);
  const visible = [];
  for (let place = first; place < last; place++) {
    const edit = edits[shown[place]];
    const line = make("div", {
      class: "row", role: "option", id: `row-${place}`, "aria-selected": place === chosen,
      "aria-posinset": place + 1, "aria-setsize": shown.length,
    });
    line.style.top = `${place * ROW}px`;
    line.append(token(edit.before[0]), " → ", token(edit.target), " ",
      make("span", { class: edit.outcome }, edit.outcome.replace("_", " ")),
      make("small", {}, `${methods[edit.method]} · ${prompts[edit.prompt].place}`));
    line.addEventListener("click", () => choose(place));
    visible.push(line);
  }
  rows.replaceChildren(...visible);
  list.setAttribute("aria-activedescendant", shown.length ? `row-${chosen}` : "");
}

function choose(place) {
  chosen = Math.min(Math.max(place, 0), shown.length - 1);
  const top = chosen * ROW;
  if (top < list.scrollTop) list.scrollTop = top;
  const bottom = top + ROW - list.clientHeight;
  if (bottom > list.scrollTop) list.scrollTop = bottom;
  draw();
  if (chosen < 0) {
    detail.replaceChildren(make("p", {}, "No edit passes the filters."));
    return;
  }
  const edit = edits[shown[chosen]];
  detail.replaceChildren(...describe(edit));
  history.replaceState(null, "", `#trial=${edit.id}`);
}

// The prompt, what should follow, and the token that is wrong.
function text({ prompt, gold }, { at }) {
  const block = make("pre", {}, prompt);
  const follows = make("strong", {});
  if (at === null) follows.append(gold);
  else follows.append(gold.slice(0, at[0]), make("mark", {}, gold.slice(...at)), gold.slice(at[1]));
  block.append(follows);
  return block;
}

function table(head, lines) {
  const cells = (name, values) => values.map((value) => make(name, {}, value));
  return make("div", { class: "scroll" }, make("table", {},
    make("thead", {}, make("tr", {}, ...cells("th", head))),
    make("tbody", {}, ...lines.map((line) => make("tr", {}, ...cells("td", line))))));
}

// The most probable token and the target, each with its probability as a bar; the target is hatched.
function bars(name, [argmax, argmaxProbability, rank, probability], target) {
  const line = (head, of, share, kind, words) => {
    const filled = make("i", {});
    filled.style.width = `${100 * share}%`;
    return [make("span", {}, head), token(of), make("div", { class: `bar ${kind}` }, filled), make("span", {}, words)];
  };
  return [
    ...line(name, argmax, argmaxProbability, "argmax", `${argmaxProbability.toFixed(4)}, argmax`),
    ...line("", target, probability, "target", `${probability.toFixed(4)}, target, rank ${rank}`),
  ];
}

// The patched neurons by layer, from the bottom up, and index; numbered in the order of patching.
function map(neurons) {
  const [layers, width] = extent;
  const [left, top, across, step] = [34, 4, 560, Math.min(12, Math.max(5, 180 / layers))];
  const draw = (name, attributes, ...children) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  };
  const height = layers * step;
  const text = (x, y, anchor, words) => draw("text", { x, y, "text-anchor": anchor }, words);
  const svg = draw("svg", {
    class: "map", viewBox: `0 0 ${left + across + 14} ${top + height + 18}`, role: "img",
    "aria-label": "Layer and index of the patched neurons",
  },
    draw("rect", { class: "frame", x: left, y: top, width: across, height }),
    text(left - 4, top + 10, "end", `${layers - 1}`), text(left - 4, top + height, "end", "0"),
    text(left - 4, top + height / 2 + 4, "end", "layer"),
    text(left, top + height + 13, "start", "neuron 0"),
    text(left + across, top + height + 13, "end", `${width - 1}`));
  const places = new Map();
  neurons.forEach(([layer, index], order) => {
    const key = `${layer}.${index}`;
    places.set(key, { layer, index, orders: [...(places.get(key)?.orders ?? []), order + 1] });
  });
  for (const { layer, index, orders } of places.values()) {
    const x = left + (across * (index + 0.5)) / width, y = top + height - (layer + 0.5) * step;
    const onTheRight = x < left + across - 60;
    svg.append(
      draw("circle", { cx: x, cy: y, r: 4 }, draw("title", {}, `neuron ${layer}.${index}, patch ${orders.join(", ")}`)),
      draw("text", { class: "order", x: x + (onTheRight ? 7 : -7), y: y + 4,
        "text-anchor": onTheRight ? "start" : "end" }, orders.join(", ")));
  }
  return svg;
}

function describe(edit) {
  const prompt = prompts[edit.prompt];
  const { before, after, neurons, seconds } = edit;
  const tried = edit.outcome === "skipped";
  const total = seconds.reduce((sum, phase) => sum + phase, 0);
  const parts = [
    make("h3", {}, `${methods[edit.method]} on ${prompt.place}`),
    make("p", {}, make("span", { class: edit.outcome }, edit.outcome.replace("_", " ")),
      ` · target `, token(edit.target), ` · id `, make("code", {}, edit.id)),
    text(prompt, edit),
    make("h4", {}, "Probabilities"),
    make("div", { class: "bars" },
      ...bars("before", before, edit.target), ...bars(tried ? "tried" : "after", after, edit.target)),
    make("h4", {}, neurons.length === 0 ? (edit.size ?? "No weight was changed") :
      tried ? "Neurons tried, all undone" : "Neurons patched"),
  ];
  if (neurons.length > 0) {
    parts.push(map(neurons), table(["layer", "neuron", "place in the attribution", "gain in rank", "gain in ln(Pt/Pa)"],
      neurons.map((patched) => patched.map((value, index) => index === 4 ? value.toFixed(4) : String(value)))));
  }
  if (edit.elsewhere !== "") parts.push(make("h4", {}, "Elsewhere"), make("p", {}, edit.elsewhere));
  parts.push(make("h4", {}, "Seconds"), table([...phases, "all"],
    [[...seconds, total].map((phase) => phase.toFixed(3))]));
  return parts;
}

list.addEventListener("scroll", draw);
list.addEventListener("keydown", (event) => {
  const page = Math.max(1, Math.floor(list.clientHeight / ROW) - 1);
  const to = {
    ArrowDown: chosen + 1, j: chosen + 1, ArrowUp: chosen - 1, k: chosen - 1,
    PageDown: chosen + page, PageUp: chosen - page, Home: 0, End: shown.length - 1,
  }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  choose(to);
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.target.matches("input, select")) return;
  event.preventDefault();
  filters[0].focus();
});
for (const field of filters) field.addEventListener("input", () => filter(shown[chosen]));
new ResizeObserver(draw).observe(list);

// A link to one edit, or none.
function follow() {
  const id = location.hash.match(/^#(?:trial|edit)=(\w+)$/)?.[1];
  return id === undefined ? -1 : edits.findIndex((edit) => edit.id === id);
}
window.addEventListener("hashchange", () => {
  const place = shown.indexOf(follow());
  if (place >= 0 && place !== chosen) choose(place);
});
const linked = follow();
const hash = location.hash;
filter(linked);
if (linked < 0) history.replaceState(null, "", hash || location.pathname + location.search);
else byId("edits").scrollIntoView();
