// Folded sections: a link opens those that it leads into, and printing opens all.
"use strict";
function unfold() {
  let place = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!place) return;
  for (let within = place; within; within = within.parentElement) if (within.tagName === "DETAILS") within.open = true;
  place.scrollIntoView();
}
window.addEventListener("hashchange", unfold);
window.addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
});
unfold();
