/** The keys of the desk: which command a key stands for. Pure. */
import { VIEWS, type ViewName } from "./desk-types";

export type Command =
  | "next"
  | "previous"
  | "take"
  | "reply"
  | "note"
  | "toBot"
  | "toQueue"
  | "assign"
  | "end"
  | "replies"
  | "help"
  | "palette"
  | `view.${ViewName}`;

/** Single characters, which do nothing in fields and can be switched off. */
const SINGLE_KEYS: Readonly<Record<string, Command | undefined>> = {
  j: "next",
  k: "previous",
  t: "take",
  r: "reply",
  n: "note",
  b: "toBot",
  q: "toQueue",
  a: "assign",
  e: "end",
  "/": "replies",
  "?": "help",
  ...Object.fromEntries(VIEWS.map((view, at) => [String(at + 1), `view.${view}` as const])),
};

export interface KeyPress {
  key: string;
  /** The place on the keyboard: where letters are not Latin, it stands for the letter of a Latin one. */
  code: string;
  ctrlKey: boolean;
  metaKey: boolean;
  altKey: boolean;
  isComposing: boolean;
  repeat: boolean;
}

/** A key that is held down. */
const REPEATABLE: readonly Command[] = ["next", "previous"];

/** `inField`: the key was pressed where text is typed. `singleKeys`: they are switched on. */
export function commandOf(
  press: KeyPress,
  { inField, singleKeys }: { inField: boolean; singleKeys: boolean },
): Command | null {
  const letter = letterOf(press);
  if (press.isComposing || press.altKey) return null;
  if (press.ctrlKey || press.metaKey) return letter === "k" ? "palette" : null;
  return inField || !singleKeys ? null : singleKeyCommand(letter, press.repeat);
}

function singleKeyCommand(letter: string, repeated: boolean): Command | null {
  const command = SINGLE_KEYS[letter];
  return !command || (repeated && !REPEATABLE.includes(command)) ? null : command;
}

function letterOf({ key, code }: KeyPress): string {
  const isLatin = key.length === 1 && key.charCodeAt(0) < 0x250;
  const place = /^Key([A-Z])$/.exec(code)?.[1];
  return (isLatin || !place || key.length > 1 ? key : place).toLowerCase();
}

/** The key of a command, as it is shown; empty where it has none. */
export function keyOf(command: Command): string {
  if (command === "palette") return "Ctrl+K";
  const key = Object.entries(SINGLE_KEYS).find(([, other]) => other === command)?.[0] ?? "";
  return key.toUpperCase();
}
