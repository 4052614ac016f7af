/* What the pages do besides being read: open the chat, copy what is to be copied. */
"use strict";

document.addEventListener("click", (event) => {
  const target = event.target instanceof Element ? event.target.closest("button") : null;
  if (!target) return;
  if (target.hasAttribute("data-open-chat")) window.Baton?.open();
  if (target.dataset.copy) copy(document.getElementById(target.dataset.copy), target);
});

async function copy(source, button) {
  const before = button.dataset.label || (button.dataset.label = button.textContent);
  try {
    await navigator.clipboard.writeText(source.textContent);
    button.textContent = "Copied";
  } catch {
    // Without a secure address there is no clipboard: mark the text, so that one key copies it.
    getSelection().selectAllChildren(source);
    button.textContent = "Press Ctrl+C";
  }
  setTimeout(() => { button.textContent = before; }, 2000);
}
