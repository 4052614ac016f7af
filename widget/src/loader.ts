/** The pasted script: draws the launcher and window.Baton, and fetches the rest when a visitor reaches for it. */
import type { Panel } from "./widget";

declare const __PANEL__: string;

type Raw = Record<string, any>;
type Method = "open" | "close" | "toggle" | "end";

(() => {
  const view = window as Raw, page = document, name = "baton-widget";
  const earlier: unknown = view.Baton;
  // Pasted twice: the first one stays, and comes back where a page change took its element away.
  if ((earlier as Raw)?.init) { (earlier as Raw).init(); return; }

  const address = /^(.*?\/)(?:assets\/(?:[^/]+\/)?)?widget\.js(?:[?#].*)?$/;
  const script = (page.currentScript ?? [...page.scripts].findLast((tag) => address.test(tag.src))) as HTMLScriptElement | null;
  const service = address.exec(script?.src ?? "")?.[1] ?? location.origin + "/";

  let options: Raw = { ...script?.dataset }, host: HTMLElement | null = null, button: HTMLButtonElement;
  let panel: Panel | null = null, loading: Promise<void> | null = null, tries = 0, generation = 0, gone = false;
  const queuedCalls: Method[] = [];
  const listeners: Record<string, Set<(detail?: unknown) => void>> = {};

  const base = (): string => {
    try { return new URL(options.apiUrl || service, location.href).href.replace(/\/*$/, "/"); } catch { return service; }
  };
  const key = (name: string) => `baton:${base().slice(0, -1)}:${name}`;
  /** Nothing that goes wrong here may reach the page. */
  const safe = <T>(work: () => T): T | undefined => { try { return work(); } catch (error) { console.warn("Baton:", error); } };
  const emit = (event: string, detail?: unknown) => listeners[event]?.forEach((listener) => safe(() => listener(detail)));

  function launcherCss(): string {
    const wanted = String(options.color ?? ""), color = CSS.supports("color", wanted) ? wanted : "#0b6e5f";
    const [r = 0, g = 0, b = 0] = (/^#\w{6}$/.test(color) ? color : color.replace(/\w/g, "$&$&")).match(/\w\w/g)!.map((c) => parseInt(c, 16));
    const ink = r * 299 + g * 587 + b * 114 > 15e4 ? "#111" : "#fff";
    const [x = 20, y = x] = String(options.offset ?? 20).split(",").map((n) => parseInt(n) || 0);
    const side = options.position === "bottom-left" ? "left" : "right";
    host!.dataset.side = side;
    return `:host{all:initial!important;position:fixed!important;bottom:0!important;${side}:0!important;z-index:2147483647!important;`
      + `display:block!important;--baton-x:${x}px;--baton-y:${y}px;--_primary:var(--baton-color-primary,var(--baton-fill,${color}))}`
      + `button{position:fixed;${side}:var(--baton-x);bottom:var(--baton-y);width:56px;height:56px;padding:0;border:0;border-radius:50%;cursor:pointer;`
      + `display:grid;place-items:center;background:var(--_primary);color:var(--baton-color-on-primary,var(--baton-on-fill,${ink}));box-shadow:0 4px 16px #0004}`
      + `button:focus-visible{outline:3px solid var(--_primary);outline-offset:3px}`
      + `svg{width:26px;fill:none;stroke:currentColor;stroke-width:2;stroke-linejoin:round}`;
  }

  function draw(): void {
    const root = host!.shadowRoot ?? host!.attachShadow({ mode: "open" });
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(launcherCss());
    root.adoptedStyleSheets = [sheet];
    button = page.createElement("button");
    button.setAttribute("part", "launcher");
    button.setAttribute("aria-label", (({ de: "Chat öffnen", ar: "فتح الدردشة" }) as Raw)[String(options.lang).slice(0, 2)] ?? "Open chat");
    const space = "http://www.w3.org/2000/svg", icon = page.createElementNS(space, "svg"), path = page.createElementNS(space, "path");
    icon.setAttribute("viewBox", "0 0 24 24");
    path.setAttribute("d", "M5 4h14a2 2 0 0 1 2 2v9a2 2 0 0 1-2 2h-7l-5 4v-4H5a2 2 0 0 1-2-2V6a2 2 0 0 1 2-2");
    icon.append(path);
    button.append(icon);
    root.replaceChildren(button);
    button.onpointerenter = button.onfocus = () => void load();
    button.onclick = () => { if (!panel) call("open"); };
    try { if (sessionStorage[key("open")]) call("open"); } catch { /* storage is blocked */ }
  }

  function load(): Promise<void> {
    const mine = generation;
    return (loading ??= import(`${service}assets/${__PANEL__}${tries ? `?${tries}` : ""}`).then(
      ({ mount }) => { if (host && mine === generation) panel = mount(host, options, base(), emit, Baton as any); },
      (error) => { loading = null; tries++; button.title = "The chat cannot be reached. Try again."; console.warn("Baton:", error); },
    ));
  }

  const call = (method: Method) => void safe(() => {
    if (gone) return;
    if (!host) { queuedCalls.push(method); return; }
    if (panel) panel[method](); else void load().then(() => safe(() => panel?.[method]()));
  });

  function clear(): void {
    generation++;
    safe(() => panel?.destroy());
    panel = loading = null;
  }

  /** Takes an element for the widget's: the one there, or another that came in its place. */
  function attach(element: HTMLElement): void {
    if (host === element || (host?.isConnected)) return;
    if (host) clear();
    host = element;
    draw();
    for (const method of queuedCalls.splice(0)) call(method);
  }

  const init = (more?: Raw) => void safe(() => {
    const again = more || gone;
    options = { ...options, ...more };
    gone = false;
    const place = () => safe(() => {
      if (host && again) { clear(); draw(); }
      const found = host ?? page.querySelector<HTMLElement>(name) ?? page.createElement(name);
      // Not into the body, whose transform would move it and whose emptying would take it away.
      if (!found.isConnected) page.documentElement.append(found);
      attach(found);
      if (page.querySelector("baton-chat")) void load();
    });
    if (page.body) place(); else page.addEventListener("DOMContentLoaded", place, { once: true });
  });

  /** Nothing of the visitor is kept here, and the panel begins anew. */
  const resetPanel = () => {
    options.user = 0;
    gone || init({});
  };
  // Signed out in another tab.
  addEventListener("storage", (event) => event.key === key("reset") && resetPanel());

  const Baton: Raw = {
    init,
    identify(user: any) {
      options.user = user;
      panel?.identify(user);
    },
    reset: () => void safe(() => {
      resetPanel();
      (localStorage as Raw)[key("reset")] = Math.random();
      delete localStorage[key("session")];
    }),
    destroy: () => void safe(() => { clear(); gone = true; host?.remove(); host = null; }),
    on(event: string, hear: () => void) {
      (listeners[event] ??= new Set()).add(hear);
      return () => listeners[event]!.delete(hear);
    },
  };
  for (const method of ["open", "close", "toggle", "end"] as const) Baton[method] = () => call(method);
  view.Baton = Baton;

  safe(() => {
    if (!customElements.get(name)) {
      customElements.define(name, class extends HTMLElement {
        connectedCallback(): void { if (!gone) safe(() => attach(this)); }
      });
    }
  });
  init();
  // What was called before this script was there: Baton = [["open"], ["init", {...}]].
  if (Array.isArray(earlier)) for (const [method, ...given] of earlier) safe(() => Baton[method]?.(...given));
})();
