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

test("suggestions that are no texts are left out", () => {
  expect(readOptions({ suggestions: ["One?", 7, "", null, "Two?"] }).suggestions).toEqual([
    "One?",
    "Two?",
  ]);
});
