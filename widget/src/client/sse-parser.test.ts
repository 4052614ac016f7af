import { expect, test } from "vitest";
import { createParser, StreamTooLarge, type Frame } from "./sse-parser";

const STREAM =
  '\ufeff: hello\r\nretry: 100\r\n\r\nid: 1\r\nevent: message\r\ndata: {"a":1}\r\n\r\nevent: ping\ndata: {}\n\nid:2\rdata:one\rdata: two\r\r';
const FRAMES: Frame[] = [
  { id: "1", event: "message", data: '{"a":1}' },
  { id: null, event: "ping", data: "{}" },
  { id: "2", event: "message", data: "one\ntwo" },
];

test("a stream gives the same events wherever it is cut in two", () => {
  for (let cut = 0; cut <= STREAM.length; cut++) {
    const got: Frame[] = [];
    const parse = createParser((frame) => got.push(frame));
    parse(STREAM.slice(0, cut));
    parse(STREAM.slice(cut));
    expect(got, `cut at ${cut}`).toEqual(FRAMES);
  }
});

test("a stream gives the same events one character at a time", () => {
  const got: Frame[] = [];
  const parse = createParser((frame) => got.push(frame));
  for (const one of STREAM) parse(one);
  expect(got).toEqual(FRAMES);
});

test("an unfinished event at the end of a stream is not delivered", () => {
  const got: Frame[] = [];
  createParser((frame) => got.push(frame))("id: 1\ndata: half");
  expect(got).toEqual([]);
});

test("an endless line and an endless event are refused instead of kept", () => {
  const parse = createParser(() => {}, 100);
  expect(() => {
    for (let n = 0; n < 20; n++) parse("x".repeat(10));
  }).toThrow(StreamTooLarge);
  const other = createParser(() => {}, 100);
  expect(() => {
    for (let n = 0; n < 20; n++) other("data: 1234567890\n");
  }).toThrow(StreamTooLarge);
});
