/** The pasted script: draws the launcher and window.Baton, and fetches the rest when a visitor reaches for it. */
import type { Panel } from "./widget";

declare const __PANEL__: string;

type Raw = Record<string, any>;
type Method = "open" | "close" | "toggle" | "end";

(() => {
  const name = "baton-widget";
  // Only an own property: elements of the page with this name or id appear as inherited ones.
  const earlier: unknown = Object.hasOwn(window, "Baton") ? (window as Raw).Baton : [];
  // Pasted twice: the first one stays, and comes back where a page change took its element away.
  if ((earlier as Raw)?.init) {
    (earlier as Raw).init();
    return;
  }

  /** Calls a method of the document past its named elements: `<img name="querySelector">` would stand in for it. */
  const page = (
    method: "createElement" | "createElementNS" | "querySelector" | "querySelectorAll",
    ...given: unknown[]
  ): any => (Document.prototype[method] as any).call(document, ...given);
  const address = /^(.*?\/)(assets\/([^/]+\/)?)?widget\.js(?![^?#])/;
  const script: HTMLScriptElement | null =
    Reflect.get(Document.prototype, "currentScript", document) ??
    [...page("querySelectorAll", "script")].findLast((tag) => address.test(tag.src));
  const service = address.exec(script?.src as string)?.[1] ?? location.origin + "/";

  // Without a prototype: what the page added to Object.prototype is no option.
  const options: Raw = { __proto__: null, ...script?.dataset };
  let host: HTMLElement | null = null,
    button: HTMLButtonElement;
  let panel: Panel | null = null,
    loading: Promise<void> | null = null,
    suffix = "",
    generation = 0,
    gone = false;
  const queuedCalls: Method[] = [];
  const listeners: Record<string, Set<(detail?: unknown) => void>> = {};

  /** Nothing that goes wrong here may reach the page. */
  const safe = <T>(work: () => T): T | undefined => {
    try {
      return work();
    } catch (error) {
      console.warn("Baton:", error);
    }
  };
  const base = (): string =>
    safe(() => new URL(options.apiUrl || service, location as any).href.replace(/\/*$/, "/")) ??
    service;
  const key = (name: string) => `baton:${base().slice(0, -1)}:${name}`;
  const emit = (event: string, detail?: unknown) =>
    listeners[event]?.forEach((listener) => safe(() => listener(detail)));

  function launcherCss(): string {
    let color = String(options.color);
    if (!CSS.supports("color", color)) color = "#0b6e5f";
    const [r, g, b] = color
      .match(/^#\w{6}$/.test(color) ? /\w\w/g : /\w/g)!
      .map((c) => parseInt((c + c).slice(0, 2), 16)) as [number, number, number];
    const ink = r * 299 + g * 587 + b * 114 > 15e4 ? "#111" : "#fff";
    const [x = 20, y = x] = String(options.offset ?? 20)
      .split(",")
      .map((n) => parseInt(n) || 0);
    const side = options.position === "bottom-left" ? "left" : "right";
    return (
      `:host{all:initial!important;position:fixed!important;z-index:2147483647!important;` +
      `--baton-x:${x}px;--baton-y:${y}px;--_primary:var(--baton-color-primary,var(--baton-fill,${color}))}` +
      `button{position:fixed;${side}:var(--baton-x);bottom:var(--baton-y);width:56px;height:56px;padding:0;border:0;border-radius:50%;cursor:pointer;` +
      `display:grid;place-items:center;background:var(--_primary);color:var(--baton-color-on-primary,var(--baton-on-fill,${ink}));box-shadow:0 4px 16px #0004}` +
      `button:focus-visible{outline:3px solid var(--_primary);outline-offset:3px}` +
      `svg{width:26px;fill:none;stroke:currentColor;stroke-width:2;stroke-linejoin:round}`
    );
  }

  function draw(): void {
    const root = host!.shadowRoot ?? host!.attachShadow({ mode: "open" });
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(launcherCss());
    root.adoptedStyleSheets = [sheet];
    button = page("createElement", "button");
    button.setAttribute("part", "launcher");
    button.setAttribute(
      "aria-label",
      ({ de: "Chat öffnen", ar: "فتح الدردشة" } as Raw)[String(options.lang).slice(0, 2)] ??
        "Open chat",
    );
    const space = "http://www.w3.org/2000/svg",
      icon = page("createElementNS", space, "svg"),
      path = page("createElementNS", space, "path");
    icon.setAttribute("viewBox", "0 0 24 24");
    path.setAttribute(
      "d",
      "M5 4h14a2 2 0 0 1 2 2v9a2 2 0 0 1-2 2h-7l-5 4v-4H5a2 2 0 0 1-2-2V6a2 2 0 0 1 2-2",
    );
    icon.append(path);
    button.append(icon);
    root.replaceChildren(button);
    button.onpointerenter = button.onfocus = load;
    button.onclick = () => panel || call("open");
    safe(() => sessionStorage[key("open")] && call("open"));
  }

  function load(): Promise<void> {
    const mine = generation;
    return (loading ??= import(`${service}assets/${__PANEL__}${suffix}`).then(
      ({ mount }) => {
        if (host && mine === generation) panel = mount(host, options, base(), emit, Baton as any);
      },
      (error) => {
        loading = null;
        suffix += "?";
        button.title = "The chat cannot be reached. Try again.";
        console.warn("Baton:", error);
      },
    ));
  }

  const call = (method: Method) =>
    void safe(() => {
      if (gone) return;
      if (!host) queuedCalls.push(method);
      else if (panel) panel[method]();
      else void load().then(() => safe(() => panel?.[method]()));
    });

  function clear(): void {
    generation++;
    safe(() => panel?.destroy());
    panel = loading = null;
  }

  /** Takes an element for the widget's: the one there, or another that came in its place. */
  function attach(element: HTMLElement): void {
    if (gone || host === element || host?.isConnected) return;
    if (host) clear();
    host = element;
    draw();
    for (const method of queuedCalls.splice(0)) call(method);
  }

  const init = (more?: Raw) =>
    void safe(() => {
      const anew = more || gone;
      Object.assign(options, more);
      gone = false;
      const place = () =>
        safe(() => {
          if (host && anew && !panel?.update()) {
            clear();
            draw();
          }
          const found = host ?? page("querySelector", name) ?? page("createElement", name);
          // Not into the body, whose transform would move it and whose emptying would take it away.
          if (!found.isConnected) page("querySelector", "html").append(found);
          attach(found);
          if (page("querySelector", "baton-chat")) void load();
        });
      if (page("querySelector", "body")) place();
      else addEventListener("DOMContentLoaded", place);
    });

  /** Nothing of the visitor is kept here, and the panel begins anew. */
  const resetPanel = () => {
    options.user = NaN;
    if (!gone) init({});
  };
  // Signed out in another tab.
  addEventListener("storage", (event) => event.key === key("reset") && resetPanel());

  const Baton: Raw = {
    init,
    identify(user: any) {
      options.user = user;
      panel?.identify(user);
    },
    reset: () =>
      void safe(() => {
        resetPanel();
        (localStorage as Raw)[key("reset")] = Math.random();
        delete localStorage[key("session")];
      }),
    destroy: () =>
      void safe(() => {
        clear();
        gone = true;
        host?.remove();
        host = null;
      }),
    on(event: string, hear: () => void) {
      (listeners[event] ??= new Set()).add(hear);
      return () => listeners[event]!.delete(hear);
    },
  };
  for (const method of ["open", "close", "toggle", "end"] as const)
    Baton[method] = () => call(method);
  (window as Raw).Baton = Baton;

  // Where somebody else has defined the element, the console says so and nothing is drawn.
  safe(() => {
    customElements.define(
      name,
      class extends HTMLElement {
        connectedCallback(): void {
          safe(() => attach(this));
        }
      },
    );
    init();
  });
  // What was called before this script was there: Baton = [["open"], ["init", {...}]].
  safe(() =>
    (earlier as [string, ...unknown[]][])?.map(([method, ...given]) =>
      safe(() => Baton[method](...given)),
    ),
  );
})();
