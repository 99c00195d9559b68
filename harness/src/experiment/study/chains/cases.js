// Arrow keys lead from case to case.
"use strict";
const cases = [...document.querySelectorAll(".case")];
document.addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (step === undefined || event.target.closest("input, select, .scroll")) return;
  const now = cases.findIndex((own) => `#${own.id}` === location.hash);
  const next = cases[now < 0 && step < 0 ? cases.length - 1 : Math.min(Math.max(now + step, 0), cases.length - 1)];
  if (next === undefined) return;
  event.preventDefault();
  location.hash = next.id;
  next.focus({ preventScroll: true });
});
