"use strict";
const plane = document.getElementById("plane");
const told = document.getElementById("told");
const dots = Array.from(plane.querySelectorAll("circle"));
const hint = told.textContent;
// Their own pop-ups would cover what is told below the picture.
const names = new Map(dots.map((dot) => [dot, dot.querySelector("title").textContent]));
dots.forEach((dot) => dot.querySelector("title").remove());

function show(dot) {
  plane.classList.toggle("picked", Boolean(dot));
  let same = 0;
  for (const each of dots) {
    const isSame = Boolean(dot) && each.dataset.c === dot.dataset.c;
    same += isSame;
    each.classList.toggle("same", isSame);
    each.classList.toggle("self", each === dot);
  }
  if (!dot) {
    told.textContent = hint;
    return;
  }
  const name = document.createElement("b");
  name.textContent = names.get(dot);
  told.replaceChildren(name, `, with ${same - 1} more of its class`);
}

plane.addEventListener("pointerover", (event) => {
  show(event.target.closest("circle"));
});
plane.addEventListener("pointerleave", (event) => {
  if (event.pointerType === "mouse") show(null);
});
plane.addEventListener("click", (event) => show(event.target.closest("circle")));
