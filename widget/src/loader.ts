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
    method: "createElement" | "querySelector" | "querySelectorAll",
    ...given: unknown[]
  ): any => (Document.prototype[method] as any).apply(document, given);
  const address = /^(.*?\/)(assets\/([^/]+\/)?)?widget\.js(?![^?#])/;
  const findScript = (): HTMLScriptElement | null =>
    Reflect.get(Document.prototype, "currentScript", document) ??
    [...page("querySelectorAll", "script")].findLast((tag) => address.test(tag.src));
  const script = findScript();
  const service = address.exec(script?.src as string)?.[1] ?? location.origin + "/";

  // Without a prototype: what the page added to Object.prototype is no option.
  const options: Raw = { __proto__: null, ...script?.dataset };
  let host: HTMLElement | null = null,
    made: HTMLElement | null | undefined,
    // React 18 hydrates a whole document without an error where only the body's end has something of ours.
    home = "body",
    button: HTMLButtonElement;
  let panel: Panel | null = null,
    loading: Promise<void> | null = null,
    suffix = "",
    gone = false;
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
    const color = CSS.supports("color", options.color) ? options.color : "#0b6e5f";
    const [x = 20, y = x] = String(options.offset ?? 20)
      .split(",")
      .map((n) => parseInt(n) || 0);
    const side = options.position === "bottom-left" ? "left" : "right";
    return (
      `:host{all:initial!important;position:fixed!important;inset:0 auto auto 0!important;z-index:2147483647!important;` +
      `--baton-x:${x}px;--baton-y:${y}px;--_primary:var(--baton-color-primary,var(--baton-fill,${color}))}` +
      `button{position:fixed;${side}:var(--baton-x);bottom:var(--baton-y);width:56px;height:56px;border:0;border-radius:50%;cursor:pointer;` +
      `display:grid;place-items:center;background:var(--_primary);color:var(--baton-color-on-primary,var(--baton-on-fill,oklch(from var(--_primary) calc(70 - 99*l) 0 0)));box-shadow:0 4px 16px #0004}` +
      `button::before{content:"";width:20px;height:15px;border:2px solid;border-radius:8px 8px 8px 0}` +
      `@media print{:host{display:none!important}}`
    );
  }

  /** Draws the launcher of the element; what was there of the panel is over. */
  function draw(): void {
    clear();
    const root = host!.shadowRoot ?? host!.attachShadow({ mode: "open" });
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(launcherCss());
    root.adoptedStyleSheets = [sheet];
    button = page("createElement", "button");
    (button as any).part = "launcher";
    button.setAttribute(
      "aria-label",
      ({ de: "Chat öffnen", ar: "فتح الدردشة" } as Raw)[String(options.lang).slice(0, 2)] ??
        "Open chat",
    );
    root.replaceChildren(button);
    button.onpointerenter = button.onfocus = load;
    button.onclick = () => panel || call("open");
    safe(() => sessionStorage[key("open")] && call("open"));
  }

  function load(): Promise<void> {
    if (loading) return loading;
    const mine = (loading = import(`${service}assets/${__PANEL__}${suffix}`).then(
      ({ mount }) => {
        if (loading === mine) panel = mount(host, options, base(), emit, Baton as any);
      },
      () => {
        loading = null;
        suffix += "?";
        button.title = "The chat cannot be reached. Try again.";
      },
    ));
    return mine;
  }

  const call = (method: Method): void => {
    if (gone) return;
    if (!host) addEventListener("DOMContentLoaded", () => Baton[method]());
    else if (panel) panel[method]();
    else void load().then(() => safe(() => panel?.[method]()));
  };

  function clear(): void {
    safe(() => panel?.destroy());
    panel = loading = null;
  }

  /** Takes an element for the widget's: the one there, or another that came in its place. */
  function attach(element: HTMLElement): void {
    if (gone || host?.isConnected) return;
    host = element;
    draw();
  }

  function put(element: HTMLElement): void {
    if (!element.isConnected) page("querySelector", home).append(element);
    attach(element);
    // Beside a body whose transform would move it.
    const { x, y } = element.getBoundingClientRect();
    if (element === made && (x || y)) page("querySelector", (home = "html")).append(element);
  }

  /** The page took the element away that was made here: it comes back. */
  const comeBack = () => {
    if (host !== made || host?.isConnected) return;
    home = "html";
    if (page("querySelector", "body")) {
      if (panel) draw();
      init();
    } else setTimeout(comeBack, 99);
  };

  const init = (more?: Raw): void => {
    const anew = more || gone;
    Object.assign(options, more);
    gone = false;
    const place = () =>
      safe(() => {
        if (host && anew && !panel?.update()) draw();
        put(host ?? page("querySelector", name) ?? (made = page("createElement", name)));
        if (page("querySelector", "baton-chat")) void load();
      });
    if (page("querySelector", "body")) place();
    else addEventListener("DOMContentLoaded", place);
  };

  /** Nothing of the visitor is kept here, and the panel begins anew. */
  const resetPanel = () => {
    options.user = NaN;
    if (!gone) init({});
  };
  // Signed out in another tab.
  addEventListener("storage", (event) => event.key === key("reset") && safe(resetPanel));

  const Baton: Raw = {
    /** The name of the conversation; where the site gives none, one of this browser's own. */
    get sessionKey() {
      return safe(
        () =>
          options.sessionKey ||
          ((localStorage as Raw)[key("key")] ??=
            "webchat:" + Math.random().toString(36).slice(2) + Date.now()),
      );
    },
  };
  const methods: Record<string, (...given: any[]) => unknown> = {
    init,
    identify(user) {
      options.user = user;
      panel?.identify(user);
    },
    reset() {
      resetPanel();
      for (const name in localStorage)
        if (name.startsWith(key("session"))) delete localStorage[name];
      // Told last: other tabs that begin anew must find nothing to restore.
      (localStorage as Raw)[key("reset")] = Math.random();
    },
    destroy() {
      clear();
      gone = true;
      host?.remove();
      host = null;
    },
    on(event, hear) {
      (listeners[event] ??= new Set()).add(hear);
      return () => listeners[event]!.delete(hear);
    },
  };
  for (const method of ["open", "close", "toggle", "end"] as const)
    methods[method] = () => call(method);
  for (const method in methods)
    Baton[method] = (...given: unknown[]) => safe(() => methods[method]!(...given));
  (window as Raw).Baton = Baton;

  // Where somebody else has defined the element, the console says so and nothing is drawn.
  safe(() => {
    customElements.define(
      name,
      class extends HTMLElement {
        connectedCallback(): void {
          safe(() => attach(this));
        }
        disconnectedCallback(): void {
          queueMicrotask(() => safe(comeBack));
        }
      },
    );
    init();
  });
  // What was called before this script was there: Baton = [["open"], ["init", {...}]].
  safe(() =>
    (earlier as [string, ...unknown[]][])?.map(([method, ...given]) => Baton[method]?.(...given)),
  );
})();
