/** What the buttons do that reaches beyond the list of messages: links, downloads, the full page, the way back. */
import type { Conversation } from "../types";
import type { Ask } from "./dialog";

/** The chat as far as a deed needs it. */
interface Chat {
  readonly conversation: Conversation | undefined;
  hold(url: string): void;
  tell(key: string): void;
  ask(what: Ask): void;
  focus(): void;
}

export class Deeds {
  constructor(private readonly chat: Chat) {}

  private get conversation(): Conversation {
    return this.chat.conversation!;
  }

  ask(what: Ask): void {
    this.chat.ask(what);
  }

  fresh(): void {
    this.conversation.fresh();
    this.chat.focus();
  }

  /** The tab is opened within the click, so that no blocker minds; its address follows when the ticket is there. */
  async openPage(): Promise<void> {
    const tab = window.open("about:blank", "_blank");
    if (tab) tab.opener = null;
    try {
      const url = await this.conversation.link("once");
      if (tab && !tab.closed) tab.location.replace(url);
      else this.chat.hold(url);
    } catch {
      tab?.close();
      this.chat.tell("page.failed");
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
      this.chat.tell("link.copied");
    } catch {
      await link.then((url) => this.byHand(url), () => this.chat.tell("link.failed"));
    }
  }

  private async byHand(url: string): Promise<void> {
    try {
      await navigator.clipboard.writeText(url);
      this.chat.tell("link.copied");
    } catch {
      this.ask({ kind: "link", url });
    }
  }

  async download(): Promise<void> {
    try {
      const file = URL.createObjectURL(await this.conversation.transcript("md"));
      const link = document.createElement("a");
      link.href = file;
      link.download = `chat-${new Date().toISOString().slice(0, 10)}.md`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(file), 10_000);
    } catch {
      this.chat.tell("transcript.failed");
    }
  }

  async end(): Promise<void> {
    await this.conversation.end().catch(() => this.chat.tell("notice.notEnded"));
  }

  async erase(): Promise<void> {
    await this.conversation.erase().catch(() => this.chat.tell("notice.notErased"));
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
    setTimeout(() => this.chat.tell("tab.close"), 400);
  }
}
