/** The link to a conversation, and its transcript as a file. In the messages chunk. */
import type { ChatHost } from "./chat-controller";

/** Browsers want the clipboard asked for within the click; where they allow it, the text may follow. */
export async function copyLink(chat: ChatHost): Promise<void> {
  const link = chat.conversation!.link("share");
  link.catch(() => undefined);
  try {
    const text = link.then((url) => new Blob([url], { type: "text/plain" }));
    text.catch(() => undefined);
    await navigator.clipboard.write([new ClipboardItem({ "text/plain": text })]);
    chat.showToast("link.copied");
  } catch {
    await link.then(
      (url) => copyText(chat, url),
      () => chat.showToast("link.failed"),
    );
  }
}

async function copyText(chat: ChatHost, url: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(url);
    chat.showToast("link.copied");
  } catch {
    await chat.openDialog({ kind: "link", url });
  }
}

export async function downloadTranscript(chat: ChatHost): Promise<void> {
  try {
    const file = URL.createObjectURL(await chat.conversation!.transcript("md"));
    const link = document.createElement("a");
    link.href = file;
    link.download = `chat-${new Date().toISOString().slice(0, 10)}.md`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(file), 10_000);
  } catch {
    chat.showToast("transcript.failed");
  }
}
