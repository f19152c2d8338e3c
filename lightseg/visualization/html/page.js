"use strict";
(() => {
  const tip = document.getElementById("tip");
  let shown = null;

  // the tooltips of the browser would cover those of the page
  for (const title of document.querySelectorAll("svg title")) {
    title.parentNode.dataset.tip = title.textContent;
    title.remove();
  }
  for (const titled of document.querySelectorAll("[title]")) {
    titled.dataset.tip = titled.title;
    titled.removeAttribute("title");
  }

  function show(spot) {
    shown?.classList.remove("here");
    shown = spot?.dataset.tip ? spot : null;
    tip.hidden = !shown;
    if (!shown) return;
    shown.classList.add("here");
    tip.textContent = shown.dataset.tip;
    const box = shown.getBoundingClientRect();
    const left = box.left + box.width / 2 - tip.offsetWidth / 2;
    const above = box.top - tip.offsetHeight - 6;
    tip.style.left = Math.max(4, Math.min(left, document.documentElement.clientWidth - tip.offsetWidth - 4)) + "px";
    tip.style.top = (above > 4 ? above : Math.min(box.bottom + 6, innerHeight - tip.offsetHeight - 4)) + "px";
  }
  // pointerover works for mouse and touch, and the tip stays after a touch ends
  document.addEventListener("pointerover", (event) => show(event.target.closest("[data-tip]")));
  document.addEventListener("scroll", () => show(null), { capture: true, passive: true });
  document.addEventListener("keydown", (event) => event.key === "Escape" && show(null));

  // print folded details too
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((folded) => (folded.open = true)));

  // a figure is one tab stop; the arrow keys move inside it
  for (const picture of document.querySelectorAll("[data-row]")) {
    const spots = [...picture.querySelectorAll(".spot, tbody td")];
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -picture.dataset.row, ArrowDown: +picture.dataset.row };
    let at = 0;
    picture.tabIndex = 0;
    picture.addEventListener("focus", () => picture.matches(":focus-visible") && show(spots[at]));
    picture.addEventListener("blur", () => show(null));
    picture.addEventListener("keydown", (event) => {
      if (!(event.key in steps)) return;
      event.preventDefault();
      at = Math.max(0, Math.min(spots.length - 1, at + steps[event.key]));
      show(spots[at]);
    });
  }

  // a click on a column's title sorts by it, numbers descending and words ascending; another click reverses the order
  for (const button of document.querySelectorAll("th button")) {
    button.addEventListener("click", () => {
      const head = button.parentNode;
      const body = head.closest("table").tBodies[0];
      const numbers = head.classList.contains("number");
      const before = head.getAttribute("aria-sort");
      const down = before ? before === "ascending" : numbers;
      for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const cell = (row) => row.cells[head.cellIndex];
      const order = (a, b) =>
        numbers
          ? isNaN(a.dataset.value) - isNaN(b.dataset.value) || (a.dataset.value - b.dataset.value) * (down ? -1 : 1)
          : a.textContent.localeCompare(b.textContent, undefined, { numeric: true }) * (down ? -1 : 1);
      body.append(...[...body.rows].sort((a, b) => order(cell(a), cell(b))));
    });
  }
})();
