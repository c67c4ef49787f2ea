"use strict";
// The page is whole without this script. It adds hover and keyboard reading of marks, a legend that hides and shows
// methods, a slider over tasks, and tables that sort by a column.
(() => {
  for (const control of document.querySelectorAll("[data-script]")) control.hidden = false;

  const plane = document.querySelector("svg.plane");
  const { x, y, ways } = JSON.parse(document.getElementById("plane-data").textContent);
  const marks = [...plane.querySelectorAll(".pt")].sort((a, b) => a.dataset.n - b.dataset.n);
  const tip = document.getElementById("tip");
  const slider = document.getElementById("task");
  const last = slider ? Number(slider.max) : 0;
  const trail = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
  trail.setAttribute("class", "trail");
  plane.insertBefore(trail, marks.length ? plane.querySelector(".pt") : null);
  plane.setAttribute("role", "group");

  for (const mark of marks) {
    const title = mark.querySelector("title");
    mark.end = mark.getAttribute("transform");
    mark.words = title.textContent;
    title.remove(); // the tip below replaces the browser's own
    mark.setAttribute("role", "img");
    mark.setAttribute("aria-label", mark.words);
    mark.setAttribute("tabindex", "-1");
    mark.addEventListener("pointerenter", () => show(mark));
    mark.addEventListener("pointerleave", hide);
    mark.addEventListener("focus", () => show(mark));
    mark.addEventListener("blur", hide);
    mark.addEventListener("keydown", (event) => step(event, mark));
  }
  const shown = () => marks.filter((mark) => mark.style.display !== "none");
  const enter = () => {
    for (const mark of marks) mark.setAttribute("tabindex", "-1");
    shown()[0]?.setAttribute("tabindex", "0"); // one stop for the tab key; arrows go on from there
  };
  enter();

  function task() {
    return slider ? Number(slider.value) : last;
  }

  function show(mark) {
    const way = ways[mark.dataset.n];
    const at = task();
    const value = (pixel, [p0, v0, p1, v1]) => v0 + ((pixel - p0) / (p1 - p0)) * (v1 - v0);
    tip.textContent = mark.words;
    if (way && at < last) {
      const [px, py] = way[at];
      const where = at === 0 ? "Before any update" : `After task ${at}`;
      tip.textContent += `. ${where}: AKA ${value(px, x).toFixed(2)}, AZS ${value(py, y).toFixed(2)}`;
    }
    const frame = plane.parentElement.getBoundingClientRect();
    const box = mark.getBoundingClientRect();
    tip.hidden = false;
    const left = box.left + box.width / 2 - frame.left;
    tip.style.left = `${Math.max(0, Math.min(left - tip.offsetWidth / 2, frame.width - tip.offsetWidth))}px`;
    const below = box.top - frame.top < tip.offsetHeight + 10;
    tip.style.top = `${below ? box.bottom - frame.top + 8 : box.top - frame.top - tip.offsetHeight - 8}px`;
    if (way) trail.setAttribute("points", way.map((point) => point.join()).join(" "));
    mark.classList.add("seen");
  }

  function hide() {
    tip.hidden = true;
    trail.removeAttribute("points");
    for (const mark of marks) mark.classList.remove("seen");
  }

  function step(event, mark) {
    const order = shown();
    const here = order.indexOf(mark);
    const there = { ArrowRight: here + 1, ArrowDown: here + 1, ArrowLeft: here - 1, ArrowUp: here - 1, Home: 0, End: -1 };
    if (event.key === "Escape") mark.blur();
    if (!(event.key in there)) return;
    event.preventDefault();
    const next = order.at(Math.min(there[event.key], order.length - 1));
    mark.setAttribute("tabindex", "-1");
    next.setAttribute("tabindex", "0");
    next.focus();
  }

  const boxes = [...document.querySelectorAll("input[data-key]")];
  const toggle = () => {
    const off = new Set(boxes.filter((box) => !box.checked).map((box) => box.dataset.key));
    for (const mark of marks) {
      mark.style.display = mark.dataset.key.split(" ").some((key) => off.has(key)) ? "none" : "";
    }
    plane.classList.toggle("partial", off.size > 0);
    enter();
  };
  for (const box of boxes) box.addEventListener("change", toggle);

  const bands = document.getElementById("bands");
  if (bands) bands.addEventListener("change", () => plane.classList.toggle("banded", bands.checked));

  if (slider) {
    const said = document.getElementById("task-said");
    slider.addEventListener("input", () => {
      const at = task();
      said.textContent = at === 0 ? "before any update" : at === last ? `${at}, the last` : String(at);
      slider.setAttribute("aria-valuetext", `task ${said.textContent}`);
      plane.classList.toggle("underway", at < last);
      for (const mark of marks) {
        const way = ways[mark.dataset.n];
        mark.setAttribute("transform", way && at < last ? `translate(${way[at].join(" ")})` : mark.end);
      }
    });
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    const body = table.tBodies[0];
    [...table.tHead.rows[0].cells].forEach((cell, column) => {
      const button = document.createElement("button");
      button.append(...cell.childNodes);
      cell.append(button);
      button.addEventListener("click", () => {
        const up = cell.getAttribute("aria-sort") === "descending";
        for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        cell.setAttribute("aria-sort", up ? "ascending" : "descending");
        const rows = [...body.rows].map((row) => [row, value(row.cells[column])]);
        rows.sort(([, a], [, b]) => (up ? 1 : -1) * compare(a, b));
        body.append(...rows.map(([row]) => row));
      });
    });
  }
  function value(cell) {
    const text = cell ? cell.textContent.trim() : "";
    const number = Number.parseFloat(text.replace("\u2212", "-"));
    return Number.isNaN(number) ? text : number;
  }
  function compare(a, b) {
    if (typeof a === "number" && typeof b === "number") return a - b;
    if (typeof a === typeof b) return a.localeCompare(b);
    return typeof a === "number" ? 1 : -1; // what is no number stands last when the largest comes first
  }
})();
