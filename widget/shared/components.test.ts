import { createElement } from "react";
import { hydrateRoot } from "react-dom/client";
import { renderToString } from "react-dom/server";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createSSRApp, h, nextTick } from "vue";
import { renderToString as renderVueToString } from "vue/server-renderer";
import { ChatWidget as ReactChatWidget } from "../react/index";
import { ChatWidget as VueChatWidget } from "../vue/index";
import { dataAttributes, serializeOptions } from "./chat-widget";

const options = {
  apiUrl: "https://chat.example.test",
  title: 'Help & "more"',
  suggestions: ["One?", "Two?"],
  autoRestore: false,
  sessionExpiry: 60,
  onEnd: "close",
} as const;
const complaints: unknown[][] = [];

beforeEach(() => {
  // No test reaches the network: the script of the service counts as loaded.
  (window as unknown as { happyDOM: { settings: Record<string, boolean> } }).happyDOM.settings[
    "handleDisabledFileLoadingAsSuccess"
  ] = true;
  complaints.length = 0;
  for (const level of ["error", "warn"] as const)
    vi.spyOn(console, level).mockImplementation((...all) => void complaints.push(all));
});
afterEach(() => vi.restoreAllMocks());

test("every option of the tag is an attribute, the addresses are not", () => {
  expect(dataAttributes({ ...options, sessionKey: "a", heartbeatInterval: 5, lang: "de" })).toEqual(
    {
      "data-title": 'Help & "more"',
      "data-suggestions": '["One?","Two?"]',
      "data-auto-restore": "false",
      "data-session-expiry": "60",
      "data-session-key": "a",
      "data-heartbeat-interval": "5",
      "data-lang": "de",
      "data-on-end": "close",
    },
  );
});

test("equal options in other objects and another order are the same", () => {
  const { apiUrl, ...rest } = options;
  expect(serializeOptions({ ...rest, apiUrl, suggestions: [...options.suggestions] })).toBe(
    serializeOptions(options),
  );
  expect(serializeOptions({ ...options, suggestions: ["One?"] })).not.toBe(
    serializeOptions(options),
  );
});

test("React renders on a server without a document, and hydrates without a complaint", async () => {
  const element = createElement(ReactChatWidget, { ...options, inline: true, className: "chat" });
  const html = withoutDocument(() => renderToString(element));
  expect(html).toContain('<baton-chat class="chat"');
  expect(html).toContain('data-auto-restore="false"');
  expect(withoutDocument(() => renderToString(createElement(ReactChatWidget, options)))).toBe("");
  const box = document.body.appendChild(document.createElement("div"));
  box.innerHTML = html;
  const known = box.firstElementChild;
  const root = hydrateRoot(box, element, {
    onRecoverableError: (error) => complaints.push([error]),
  });
  await vi.waitFor(() => expect(document.querySelector("head script")).not.toBeNull());
  expect(box.firstElementChild).toBe(known);
  root.unmount();
  expect(complaints).toEqual([]);
});

test("Vue renders on a server, and hydrates without a complaint", async () => {
  const app = () => createSSRApp({ render: () => h(VueChatWidget, { ...options, inline: true }) });
  const html = await renderVueToString(app());
  expect(html).toContain("<baton-chat");
  expect(html).toContain('data-auto-restore="false"');
  const box = document.body.appendChild(document.createElement("div"));
  box.innerHTML = html;
  const known = box.firstElementChild;
  const mounted = app();
  mounted.mount(box);
  await nextTick();
  expect(box.firstElementChild).toBe(known);
  mounted.unmount();
  expect(complaints).toEqual([]);
});

/** As in Node: what touches the document or the window fails. */
function withoutDocument<T>(render: () => T): T {
  vi.stubGlobal("document", undefined);
  vi.stubGlobal("window", undefined);
  try {
    return render();
  } finally {
    vi.unstubAllGlobals();
  }
}
