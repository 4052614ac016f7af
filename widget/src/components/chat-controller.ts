/** What the buttons do that reaches beyond the list of messages: links, downloads, the full page, the way back. */
import type { Conversation } from "../types";
import type { DialogKind } from "./dialog";

/** The chat as far as a deed needs it. */
interface ChatHost {
  readonly conversation: Conversation | undefined;
  offerBlockedPage(url: string): void;
  showToast(key: string): void;
  openDialog(dialog: DialogKind): void;
  focus(): void;
}

export class ChatController {
  constructor(private readonly chat: ChatHost) {}

  private get conversation(): Conversation {
    return this.chat.conversation!;
  }

  openDialog(what: DialogKind): void {
    this.chat.openDialog(what);
  }

  startNew(): void {
    this.conversation.startNew();
    this.chat.focus();
  }

  /** The tab is opened within the click, so that no blocker minds; its address follows when the ticket is there. */
  async openPage(): Promise<void> {
    const tab = window.open("about:blank", "_blank");
    if (tab) tab.opener = null;
    try {
      const url = await this.conversation.link("once");
      if (tab && !tab.closed) tab.location.replace(url);
      else this.chat.offerBlockedPage(url);
    } catch {
      tab?.close();
      this.chat.showToast("page.failed");
    }
  }

  /** Browsers want the clipboard asked for within the click; where they allow it, the text may follow. */
  async copyLink(): Promise<void> {
    const link = this.conversation.link("share");
    link.catch(() => undefined);
    try {
      const text = link.then((url) => new Blob([url], { type: "text/plain" }));
      text.catch(() => undefined);
      await navigator.clipboard.write([new ClipboardItem({ "text/plain": text })]);
      this.chat.showToast("link.copied");
    } catch {
      await link.then((url) => this.copyText(url), () => this.chat.showToast("link.failed"));
    }
  }

  private async copyText(url: string): Promise<void> {
    try {
      await navigator.clipboard.writeText(url);
      this.chat.showToast("link.copied");
    } catch {
      this.openDialog({ kind: "link", url });
    }
  }

  async downloadTranscript(): Promise<void> {
    try {
      const file = URL.createObjectURL(await this.conversation.transcript("md"));
      const link = document.createElement("a");
      link.href = file;
      link.download = `chat-${new Date().toISOString().slice(0, 10)}.md`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(file), 10_000);
    } catch {
      this.chat.showToast("transcript.failed");
    }
  }

  async end(): Promise<void> {
    await this.conversation.end().catch(() => this.chat.showToast("notice.notEnded"));
  }

  async erase(): Promise<void> {
    await this.conversation.erase().catch(() => this.chat.showToast("notice.notErased"));
  }

  /** Not in a frame: there the site is all around already. */
  canGoBack(): boolean {
    return !__WIDGET__ && window.top === window;
  }

  /** To the page before this one, or, in a tab of its own, by closing it: the site is in the tab beside. */
  back(): void {
    if (__WIDGET__) return;
    if (history.length > 1) return history.back();
    window.close();
    setTimeout(() => this.chat.showToast("tab.close"), 400);
  }
}
