/** What an operator has switched on or off at this browser. */

export interface Preferences {
  sound: boolean;
  notifications: boolean;
  singleKeys: boolean;
}

export type PreferenceName = keyof Preferences;

const KEY = "baton-desk:preferences";
const DEFAULTS: Preferences = { sound: true, notifications: false, singleKeys: true };

export function readPreferences(storage: Pick<Storage, "getItem"> | undefined): Preferences {
  try {
    const stored: unknown = JSON.parse(storage?.getItem(KEY) ?? "{}");
    const fields = typeof stored === "object" && stored !== null ? stored : {};
    const entries = Object.entries(fields).filter(
      ([name, value]) => name in DEFAULTS && typeof value === "boolean",
    );
    return { ...DEFAULTS, ...(Object.fromEntries(entries) as Partial<Preferences>) };
  } catch {
    return DEFAULTS;
  }
}

export function savePreferences(
  storage: Pick<Storage, "setItem"> | undefined,
  preferences: Preferences,
): void {
  try {
    storage?.setItem(KEY, JSON.stringify(preferences));
  } catch {
    /* a full or forbidden storage: they hold for this page */
  }
}
