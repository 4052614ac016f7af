/** What the parts of the desk need of the element around them. */
import type { Language } from "../../locales/i18n";
import type { PreferenceName, Preferences } from "../../state/desk-preferences";
import type { Desk } from "../../state/desk";
import type { DeskState } from "../../state/desk-reducer";
import { isMine, visitorName } from "../../state/desk-list";
import { isAtLeast, type Me, type Row } from "../../state/desk-types";
import type { Options } from "../../types";
import type { Opened } from "../../state/desk-conversation";

export interface DeskHost {
  readonly desk: Desk;
  readonly words: Language;
  readonly options: Options;
  readonly preferences: Preferences;
  readonly now: number;
  readonly oidcUrl: string | undefined;
  readonly siteTitle: string;
  /** The panel beside the conversation is shown where it does not fit by itself. */
  readonly detailsOpen: boolean;
  /** The filter of canned replies; null while they are not shown. */
  readonly replyFilter: string | null;
  readonly replyIndex: number;
  readonly paletteText: string;
  readonly paletteIndex: number;
  readonly activeField: "reply" | "note";
  toggleDetails(): void;
  setPreference(name: PreferenceName, on: boolean): void;
  run(action: DeskActionName): void;
  focusLater(selector: string): void;
  change(view: Partial<DeskView>): void;
}

/** What is only a matter of the screen. */
export interface DeskView {
  detailsOpen: boolean;
  replyFilter: string | null;
  replyIndex: number;
  paletteText: string;
  paletteIndex: number;
  activeField: "reply" | "note";
}

export type DeskActionName = "take" | "toBot" | "toQueue" | "assign" | "end" | "close";

/** A name for everybody: that of a user or contact, else "Visitor" and the end of the ref. */
export function nameOfVisitor(row: Row | null, ref: string, { t }: Language): string {
  return (row && visitorName(row)) || t("desk.visitor", { name: ref.slice(-4) });
}

export interface Permissions {
  write: boolean;
  take: boolean;
  /** From another operator. */
  force: boolean;
  toBot: boolean;
  toQueue: boolean;
  assign: boolean;
  end: boolean;
}

/** What this operator may do with the open conversation now. */
export function permissionsOf({ me }: DeskState, opened: Opened): Permissions {
  const { handler, assigned_to } = opened;
  const writes = mayWrite(me, opened);
  const mine = isMine({ handler, assigned_to }, me);
  const others = handler === "human" && !mine;
  const controls = others ? writes && isAtLeast(me?.role, "lead") : writes;
  return {
    write: writes && !others,
    take: controls && !mine,
    force: others,
    toBot: controls && handler !== "bot",
    toQueue: controls && handler !== "queue",
    assign: controls,
    end: controls,
  };
}

const mayWrite = (me: Me | null, { status, failed }: Opened): boolean =>
  isAtLeast(me?.role, "operator") && status !== "ended" && status !== "gone" && !failed;

const UNITS = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
] as const;

/** How long ago, in one short unit: "3 min", "2 hr". */
export function since(iso: string | null, now: number, { tag, t }: Language): string {
  const seconds = iso ? (now - Date.parse(iso)) / 1000 : Number.NaN;
  if (!Number.isFinite(seconds)) return "";
  for (const [unit, size] of UNITS)
    if (seconds >= size)
      return new Intl.NumberFormat(tag, {
        style: "unit",
        unit,
        unitDisplay: "short",
        numberingSystem: "latn",
      }).format(Math.floor(seconds / size));
  return t("desk.now");
}
