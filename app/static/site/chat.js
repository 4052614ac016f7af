/* The looks of the full page: taken from its address into the tab's memory, and put on the conversation. */
"use strict";

(() => {
  // Looks only, and only in these forms: a link must not be able to put words into this page's mouth.
  const forms = { color: /^(#[0-9a-f]{3}|#[0-9a-f]{6}|[a-z]{3,20})$/i, theme: /^(light|dark|auto)$/, lang: /^[a-z]{2,3}(-[a-z0-9]{2,8})?$/i };
  const chat = document.querySelector("baton-chat");
  const here = new URL(location.href);
  let kept = true;
  const memory = (work) => { try { return work(sessionStorage); } catch { kept = false; return null; } };

  for (const [name, form] of Object.entries(forms)) {
    const asked = here.searchParams.get(name);
    const sound = asked !== null && form.test(asked);
    if (sound) memory((store) => store.setItem("baton-page-" + name, asked));
    const value = sound ? asked : memory((store) => store.getItem("baton-page-" + name));
    if (value && form.test(value)) chat.dataset[name] = value;
  }
  if (chat.dataset.lang) document.documentElement.lang = chat.dataset.lang;
  // What the tab remembers need not stand in its address; where nothing can be remembered, a reload needs it there.
  if (kept) {
    for (const name of Object.keys(forms)) here.searchParams.delete(name);
    if (here.href !== location.href) history.replaceState(history.state, "", here);
  }
})();
