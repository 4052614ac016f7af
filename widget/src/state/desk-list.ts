/** Which conversations a view shows, and in what order. Pure. */
import type { Me, Row, ViewName } from "./desk-types";

/** A visitor whose page was heard of within this time is there. */
const PRESENT_MS = 120_000;

export function isMine(row: Pick<Row, "handler" | "assigned_to">, me: Me | null): boolean {
  const { assigned_to: holder } = row;
  if (row.handler !== "human" || !holder || !me) return false;
  return holder.id ? holder.id === me.id : holder.name === me.name;
}

/** Whether the view shows the conversation. */
export function belongs(row: Row, view: ViewName, me: Me | null): boolean {
  if (row.status === "ended") return view === "ended";
  switch (view) {
    case "queue":
    case "bot":
      return row.handler === view;
    case "open":
      return row.handler === "human";
    case "mine":
      return isMine(row, me);
    case "ended":
      return false;
  }
}

export const lastActivity = (row: Row): string => row.last_message?.created_at || row.created_at;

const waitingSince = (row: Row): string => row.waiting_since ?? row.created_at;

/** In the queue whoever waits longest comes first, elsewhere the newest. RFC 3339 times in UTC sort as text. */
export function sortRows(rows: readonly Row[], view: ViewName): Row[] {
  const key = view === "queue" ? waitingSince : lastActivity;
  const direction = view === "queue" ? 1 : -1;
  return [...rows].sort((one, other) => {
    const [a, b] = [key(one), key(other)];
    if (a === b) return one.ref < other.ref ? -1 : 1;
    return a < b ? -direction : direction;
  });
}

export const isPresent = (row: Row, now: number): boolean =>
  row.status === "active" && now - Date.parse(row.last_seen_at) < PRESENT_MS;

/** How a visitor is called: by the site's word, by their own, else by a short form of the ref. */
export function visitorName(row: Row): string {
  return row.user?.name || row.contact?.name || row.user?.email || row.contact?.email || "";
}

const PAGE_KEYS = ["page", "page_url", "url", "href", "location"];

/** The address of the page that the visitor is on, where the metadata names one. */
export function pageOf(row: Row): string {
  for (const key of PAGE_KEYS) {
    const value = row.metadata[key];
    if (typeof value === "string" && value) return value;
    const inner = (value as { url?: unknown } | null | undefined)?.url;
    if (typeof inner === "string" && inner) return inner;
  }
  return "";
}

/** The metadata that is shown as a table: everything but the page, as text. */
export function otherMetadata(row: Row): [name: string, value: string][] {
  return Object.entries(row.metadata)
    .filter(([name]) => !PAGE_KEYS.includes(name))
    .map(([name, value]) => [name, typeof value === "string" ? value : JSON.stringify(value)]);
}
