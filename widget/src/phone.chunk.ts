/** "Continue on your phone": a dialog with a QR code of a link for one use, drawn here, and drawn anew before it expires. */
import { encode } from "uqr";
import type { ChatHost } from "./components/chat-controller";

/** The dialog of chat.ts; `code` is there once the link is made. */
export interface PhoneDialog {
  kind: "qr";
  code: SVGElement | null;
  /** When the link expires, in milliseconds since the epoch. */
  until: number;
}

/** The link is replaced so long before it expires: a scan takes a moment. */
const AHEAD_MS = 5_000;
/** How often the remaining time is updated. */
const TICK_MS = 15_000;
/** White around the code, in its modules: cameras want four. */
const QUIET_ZONE = 4;

export async function openPhoneDialog(chat: ChatHost): Promise<void> {
  const dialog: PhoneDialog = { kind: "qr", code: null, until: 0 };
  await chat.openDialog(dialog);
  while (chat.dialog === dialog) {
    if (Date.now() > dialog.until - AHEAD_MS && !(await renew(chat, dialog))) break;
    chat.requestUpdate();
    await new Promise((go) =>
      setTimeout(go, Math.min(TICK_MS, dialog.until - AHEAD_MS - Date.now() + 1)),
    );
  }
  if (chat.dialog === dialog) chat.closeDialog();
}

/** Whether there is a new link. */
async function renew(chat: ChatHost, dialog: PhoneDialog): Promise<boolean> {
  try {
    const { url, expires_in } = await chat.conversation!.handoff("once");
    dialog.code = draw(url, chat.words.t("qr.code"));
    // A lifetime of a few seconds would draw without end.
    dialog.until = Date.now() + Math.max(expires_in * 1000, 4 * AHEAD_MS);
    return true;
  } catch {
    chat.showToast("link.failed");
    return false;
  }
}

/** The code in black on white, whatever the theme is: one path in modules. */
function draw(text: string, name: string): SVGElement {
  const { data, size } = encode(text, { ecc: "M", border: QUIET_ZONE });
  const rows = data.map((row, y) =>
    row.map((dark, x) => (dark ? `M${x} ${y}h1v1h-1z` : "")).join(""),
  );
  const make = (tag: string, attributes: Record<string, string>) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag) as SVGElement;
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  };
  const image = make("svg", {
    class: "qr",
    viewBox: `0 0 ${size} ${size}`,
    role: "img",
    "aria-label": name,
    "shape-rendering": "crispEdges",
  });
  image.append(
    make("rect", { width: String(size), height: String(size), fill: "#fff" }),
    make("path", { d: rows.join(""), fill: "#000" }),
  );
  return image;
}
