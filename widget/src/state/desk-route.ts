/** The place in the desk as the address names it: `#queue`, `#mine/cnv_…`, `#analytics`. Pure. */
import type { PageName } from "./desk-reducer";
import { VIEWS, type ViewName } from "./desk-types";

export interface Route {
  page: PageName;
  ref: string | null;
}

const isView = (name: string): name is ViewName => (VIEWS as readonly string[]).includes(name);

export function parseRoute(hash: string): Route {
  const [name = "", ref = ""] = hash.replace(/^#/, "").split("/");
  if (name === "analytics") return { page: name, ref: null };
  return {
    page: isView(name) ? name : "queue",
    ref: /^cnv_[\w-]{1,80}$/.test(ref) ? ref : null,
  };
}

export const routeTo = (page: PageName, ref?: string | null): string =>
  `#${page}${ref ? `/${ref}` : ""}`;

/** The invitation in an address's fragment; null where there is none. */
export function invitationIn(hash: string): string | null {
  return new URLSearchParams(hash.replace(/^#/, "")).get("invite") || null;
}
