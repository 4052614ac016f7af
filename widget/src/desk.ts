/** The operators' page: takes the invitation out of the address, fetches the words, and shows the desk. */
import { createDeskApi } from "./client/desk-api";
import { getChunk, loadChunk, registerChunk, setChunkLoader } from "./client/lazy-chunks";
import { observePage } from "./client/page-lifecycle";
import { LANGUAGES, language } from "./locales/i18n";
import { createDesk } from "./state/desk";
import { invitationIn } from "./state/desk-route";
import type { Options } from "./types";
import { BatonDesk } from "./components/desk/desk";
import "./components/desk/analytics";
import en from "./locales/en.json";
import deskEn from "./locales/desk/en.json";

type Words = Record<string, unknown>;

// Before anything else: neither a reload nor a look at the screen finds the invitation again.
const invitation = invitationIn(location.hash);
if (invitation) history.replaceState(history.state, "", location.pathname + location.search);
// A link pasted over an open desk changes the fragment alone.
addEventListener("hashchange", () => {
  if (invitationIn(location.hash)) location.reload();
});

/** The words of the chat and, over them, those of the desk. */
async function loadWords(lang: string | undefined): Promise<void> {
  registerChunk("locale-en", { default: { ...en, ...deskEn } });
  const base = (lang ?? "en").split("-")[0]!.toLowerCase();
  if (base === "en" || !LANGUAGES.includes(base)) return;
  const names = [`locale-${base}`, `desk-locale-${base}`];
  if (!(await Promise.all(names.map(loadChunk))).every(Boolean)) return;
  const [chat, desk] = names.map((name) => getChunk<{ default: Words }>(name)?.default);
  registerChunk(names[0]!, { default: { ...chat, ...desk } });
}

function readOptions({ title, color, theme, lang, assistant_name }: DOMStringMap): Options {
  return {
    title,
    color,
    theme: theme === "light" || theme === "dark" ? theme : "auto",
    lang,
    assistantName: assistant_name,
  };
}

async function mount(): Promise<void> {
  const element = document.getElementById("desk")!;
  const options = readOptions(element.dataset);
  setChunkLoader((file) => import(new URL(file, import.meta.url).href));
  await loadWords(options.lang);

  const view = new BatonDesk();
  Object.assign(view.dataset, element.dataset);
  const page = observePage({
    onWake: () => desk.wake(),
    onChange: () => desk.onPageChange(),
    onStorage: () => {},
  });
  const desk = createDesk({
    api: createDeskApi(new URL("/", location.href).href),
    page,
    location,
    now: Date.now,
    newId: () => crypto.randomUUID(),
    onNews: (news, row) => view.onNews(news, row),
  });
  Object.assign(view, { desk, options, words: language(options.lang) });
  element.replaceWith(view);
  await desk.start(invitation, "signed_out" in element.dataset);
}

void mount();
