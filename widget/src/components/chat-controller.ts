/** What the buttons around the messages do: open the full page, go back, ask before an end, start anew. */
import { getChunk, loadChunk } from "../client/lazy-chunks";
import type { Language } from "../locales/i18n";
import type { Conversation } from "../types";
import type { DialogKind } from "./dialog";

/** What the controller, and what it calls, needs of the chat. */
export interface ChatHost {
  readonly conversation: Conversation | undefined;
  readonly offsetParent: Element | null;
  offerBlockedPage(url: string): void;
  showToast(key: string): void;
  readonly words: Language;
  readonly dialog: DialogKind | null;
  openDialog(dialog: DialogKind): Promise<void>;
  closeDialog(): void;
  requestUpdate(): void;
  focusQuietly(): void;
}

export class ChatController {
  constructor(private readonly chat: ChatHost) {}

  private get conversation(): Conversation {
    return this.chat.conversation!;
  }

  openDialog(what: DialogKind): void {
    void this.chat.openDialog(what);
  }

  startNew(): void {
    this.conversation.startNew();
    this.chat.focusQuietly();
  }

  /** Opens the tab within the click, so that no popup blocker stops it, and sets its address when the ticket arrives. */
  async openPage(): Promise<void> {
    const tab = window.open("about:blank", "_blank");
    if (tab) tab.opener = null;
    try {
      const url = await this.conversation.link("once", true);
      if (tab && !tab.closed) tab.location.replace(url);
      else this.chat.offerBlockedPage(url);
    } catch {
      tab?.close();
      this.chat.showToast("page.failed");
    }
  }

  copyLink(): Promise<void> {
    return this.withMessages((chunk) => chunk.copyLink(this.chat));
  }

  async continueOnPhone(): Promise<void> {
    if (!(await loadChunk("phone"))) return this.chat.showToast("notice.unreachable");
    await getChunk<typeof import("../phone.chunk")>("phone")!.openPhoneDialog(this.chat);
  }

  askToEnd(): Promise<void> {
    return this.withMessages((chunk) => chunk.askToEnd(this.chat));
  }

  downloadTranscript(): Promise<void> {
    return this.withMessages((chunk) => chunk.downloadTranscript(this.chat));
  }

  /** Without a wait where the chunk is there, because browsers allow the clipboard within the click only. */
  private async withMessages(
    run: (chunk: typeof import("../messages.chunk")) => Promise<void>,
  ): Promise<void> {
    const chunk = () => getChunk<typeof import("../messages.chunk")>("messages");
    if (chunk() || (await loadChunk("messages"))) await run(chunk()!);
  }

  async end(): Promise<void> {
    await this.conversation.end().catch(() => this.chat.showToast("notice.notEnded"));
  }

  async erase(): Promise<void> {
    await this.conversation.erase().catch(() => this.chat.showToast("notice.notErased"));
  }

  talkToPerson(): void {
    void getChunk<typeof import("../people.chunk")>("people")!.talkToPerson(this.chat);
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
