import { expect, test } from "vitest";
import { readOptions } from "./options";

test("a tag without options has the defaults of the contract", () => {
  expect(readOptions({})).toMatchObject({
    sessionScope: "browser",
    sessionExpiry: 1800,
    heartbeatInterval: 30,
    autoRestore: true,
  });
});

test("the strings of a tag and the values of Baton.init give the same options", () => {
  const tag = {
    sessionExpiry: "60",
    heartbeatInterval: "5",
    autoRestore: "false",
    suggestions: '["One?", "Two?"]',
    sessionScope: "tab",
    offset: "20,80",
  };
  const init = {
    sessionExpiry: 60,
    heartbeatInterval: 5,
    autoRestore: false,
    suggestions: ["One?", "Two?"],
    sessionScope: "tab",
    offset: "20,80",
  };
  expect(readOptions(tag)).toEqual(readOptions(init));
});

test("an option that is not what it should be counts as not given", () => {
  expect(
    readOptions({
      sessionExpiry: "soon",
      heartbeatInterval: "0",
      suggestions: "[oops",
      sessionScope: "world",
      theme: "pink",
      position: "top",
      sessionKey: "ses_short",
      chatUrl: "javascript:alert(1)",
      apiUrl: "ftp://x",
    }),
  ).toEqual(readOptions({}));
});

test("a key is an id of the service or a name, and nothing that only looks like an id", () => {
  const id = `ses_${"aB3-_".repeat(7)}`.slice(0, 36);
  for (const key of [id, "a", "webchat:abc-1234", "Order_4711.b@c", "x".repeat(128), "SES_short"])
    expect(readOptions({ sessionKey: key }).sessionKey).toBe(key);
  for (const key of [`${id}x`, "ses_", "ses_name", "x".repeat(129), "two words", "é", "a/b", ""])
    expect(readOptions({ sessionKey: key }).sessionKey).toBeUndefined();
});

test("suggestions that are no texts are left out", () => {
  expect(readOptions({ suggestions: ["One?", 7, "", null, "Two?"] }).suggestions).toEqual([
    "One?",
    "Two?",
  ]);
});

test("what the server says of the site's branding stands where the tag says nothing, or nothing sound", () => {
  const site = {
    title: "Teehaus",
    greeting: "Grüß Gott!",
    suggestions: ["Offen?"],
    color: "#7c3aed",
    theme: "dark",
    lang: "de",
    assistant_name: "Matcha",
    logo_url: "https://chat.test/logo",
  };
  const given = { title: "Kasse", greeting: " ", theme: "purple", lang: undefined, color: null };
  expect(readOptions(given, site)).toMatchObject({
    title: "Kasse",
    greeting: "Grüß Gott!",
    suggestions: ["Offen?"],
    color: "#7c3aed",
    theme: "dark",
    lang: "de",
    assistantName: "Matcha",
    logoUrl: "https://chat.test/logo",
  });
  expect(readOptions({}, { logo_url: "javascript:alert(1)" }).logoUrl).toBeUndefined();
});
