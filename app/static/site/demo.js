/* The two panes of the demo: one conversation, in the widget on a site and on a phone. Nothing is loaded before a click. */
"use strict";

const stage = document.getElementById("live");
const questions = [...stage.querySelectorAll("[data-ask]")];
const reload = document.getElementById("reload");
const note = document.getElementById("live-note");
/** Pieces of an answer after which the phone is reloaded "in mid-answer"; a piece is about a word. */
const PIECES_BEFORE_RELOAD = 8;
/** How long a pane may take to have the conversation before the question is asked all the same. */
const READY_TIMEOUT = 4000;
let session = "";
let busy = false;

async function call(path, body, accept = "application/json") {
  const headers = { "Content-Type": "application/json", Accept: accept };
  if (session) headers.Authorization = `Bearer ${session}`;
  const answer = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
  if (!answer.ok) throw new Error((await answer.json()).detail);
  return answer;
}

/** A page of its own in a frame, with the script that any site pastes: it shares nothing with this page but the service. */
function show(pane) {
  const frame = pane.querySelector("iframe") ?? pane.appendChild(document.createElement("iframe"));
  frame.title = pane.dataset.title;
  const loaded = new Promise((resolve) => {
    frame.onload = () => {
      const inside = frame.contentDocument;
      const style = Object.assign(inside.createElement("link"), { rel: "stylesheet", href: stage.dataset.style });
      const script = inside.createElement("script");
      script.src = "/widget.js";
      const options = { sessionKey: session, sessionScope: "page", title: "Ask Baton", color: "#14161b", suggestions: "[]" };
      Object.assign(script.dataset, options);
      script.onload = () => {
        frame.contentWindow.Baton.on("session", resolve);
        frame.contentWindow.Baton.open();
      };
      inside.documentElement.className = "demo";
      inside.title = pane.dataset.title;
      inside.head.append(style, script);
    };
  });
  frame.srcdoc = '<!doctype html><html lang="en"><head><meta charset="utf-8"></head><body>' +
    "<header><b></b><i></i><i></i><i></i></header><main><h1></h1><p></p><p></p><p></p><section><div></div><div></div></section></main></body></html>";
  return loaded;
}

/** The first click: a conversation, which both panes open by its id. */
async function start() {
  if (session) return;
  session = (await (await call("/api/session/create", {})).json()).session_id;
  const pressed = document.activeElement;
  stage.classList.add("started");
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  stage.scrollIntoView({ block: "nearest", behavior: calm ? "auto" : "smooth" });
  const ready = Promise.all([...stage.querySelectorAll("[data-pane]")].map(show));
  await Promise.race([ready, new Promise((resolve) => { setTimeout(resolve, READY_TIMEOUT); })]);
  // The panel has taken the focus when it opened: back to where the visitor was.
  pressed?.focus({ preventScroll: true });
}

/** Asks for both panes; `onPiece` hears how many pieces have come. Resolves when the answer is complete. */
async function ask(query, onPiece) {
  setBusy(true);
  try {
    await start();
    const answer = await call("/api/chat", { query }, "text/event-stream");
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let pieces = 0;
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      pieces += part.value.split("event: answer.delta").length - 1;
      onPiece?.(pieces);
    }
    note.textContent = "Both are live: type in either of them.";
  } catch (error) {
    note.textContent = error instanceof TypeError ? "The service cannot be reached at the moment." : error.message;
  } finally {
    setBusy(false);
  }
}

function setBusy(value) {
  busy = value;
  for (const button of questions) button.disabled = value;
}

for (const button of questions) button.addEventListener("click", () => ask(button.dataset.ask));

/** Reloads the phone in the middle of an answer: of the one that is being written, or of a new one. */
reload.addEventListener("click", async () => {
  const phone = stage.querySelector("[data-pane=phone]");
  const reloadPhone = () => {
    note.textContent = "Reloaded: it goes on where it was.";
    void show(phone);
  };
  if (busy) return session && reloadPhone();
  let reloaded = false;
  await ask(reload.dataset.question, (pieces) => {
    if (reloaded || pieces < PIECES_BEFORE_RELOAD) return;
    reloaded = true;
    reloadPhone();
  });
});
