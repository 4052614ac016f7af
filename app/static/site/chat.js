/* The looks and words of the full page: taken from its address into the tab's memory, and put on the conversation. */
"use strict";

(() => {
  const looks = { color: /^(#[0-9a-f]{3}|#[0-9a-f]{6}|[a-z]{3,20})$/i, theme: /^(light|dark|auto)$/, lang: /^[a-z]{2,3}(-[a-z0-9]{2,8})?$/i };
  const words = { title: /^[^\0-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]{1,80}$/u, greeting: /^[^\0-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]{1,500}$/u };
  const chat = document.querySelector("baton-chat");
  const here = new URL(location.href);
  let kept = true;
  const memory = (work) => { try { return work(sessionStorage); } catch { kept = false; return null; } };

  // A link must not be able to put words into this page's mouth: title and greeting are taken only from the page that
  // opened this one, and only where that is a site which may embed the chat. Browsers say where a visitor comes from.
  const mayNameIt = () => {
    if (!document.referrer) return false;
    const from = new URL(document.referrer).origin;
    const origins = chat.dataset.origins.split(" ");
    return from === location.origin || origins.includes("*") || origins.includes(from);
  };

  const forms = { ...looks, ...words };
  for (const [name, form] of Object.entries(forms)) {
    const asked = here.searchParams.get(name);
    const sound = asked !== null && form.test(asked) && (name in looks || mayNameIt());
    if (sound) memory((store) => store.setItem("baton-page-" + name, asked));
    const value = sound ? asked : memory((store) => store.getItem("baton-page-" + name));
    if (value && form.test(value)) chat.dataset[name] = value;
  }
  const { lang, theme, title } = chat.dataset;
  if (lang) document.documentElement.lang = lang;
  if (theme) document.documentElement.dataset.theme = theme;
  if (title) document.title = title;
  // What the tab remembers need not stand in its address; where nothing can be remembered, a reload needs it there.
  if (kept) {
    for (const name of Object.keys(forms)) here.searchParams.delete(name);
    if (here.href !== location.href) history.replaceState(history.state, "", here);
  }
})();
