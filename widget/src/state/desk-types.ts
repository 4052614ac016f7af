/** Types of the desk: operators, conversations, and what its API returns. */
import type { Status } from "../types";

export type Handler = "bot" | "queue" | "human";
export const ROLES = ["viewer", "operator", "lead", "admin"] as const;
export type Role = (typeof ROLES)[number];

export const VIEWS = ["queue", "mine", "open", "bot", "ended"] as const;
export type ViewName = (typeof VIEWS)[number];
export type Counts = Readonly<Record<ViewName, number>>;

export interface Me {
  id: string;
  name: string;
  role: Role;
}

export interface Colleague {
  id: string;
  name: string;
  /** Their desk is open, or was a moment ago. */
  present: boolean;
  /** Present, and switched available. */
  available: boolean;
}

/** An operator as admins see them. */
export interface Teammate extends Colleague {
  role: Role;
}

/** Whoever writes or looks: the id is missing where the service sends only the name. */
export interface Person {
  id?: string;
  name: string;
}

export interface Author {
  type: string;
  name: string;
}

export interface User {
  id: string;
  name?: string;
  email?: string;
}

export interface Contact {
  name?: string;
  email?: string;
}

export interface LastMessage {
  role: string;
  author?: Author;
  preview: string;
  created_at: string;
}

/** A conversation as in the lists. */
export interface Row {
  ref: string;
  handler: Handler;
  assigned_to: Person | null;
  status: Status;
  last_message: LastMessage | null;
  waiting_since: string | null;
  created_at: string;
  last_seen_at: string;
  unread: number;
  metadata: Record<string, unknown>;
  /** Verified by the site. */
  user: User | null;
  /** What the visitor typed: not verified. */
  contact: Contact | null;
  /** Why a person was asked for, in the words of the visitor or the engine. */
  reason?: string;
  /** When the visitor last rated an answer; empty: never. */
  rated_at?: string;
}

export interface Listing {
  conversations: Row[];
  counts: Counts;
  cursor: string | null;
}

/** A canned reply. */
export interface Reply {
  shortcut: string;
  text: string;
}

export const NO_COUNTS: Counts = { queue: 0, mine: 0, open: 0, bot: 0, ended: 0 };

/** Whether a role may do what `min` may. */
export const isAtLeast = (role: Role | undefined, min: Role): boolean =>
  role !== undefined && ROLES.indexOf(role) >= ROLES.indexOf(min);
