/** Turns the text of an event stream into events; knows no network, and no buffer of it grows without bound. */

export interface Frame {
  id: string | null;
  event: string;
  data: string;
}

/** More than this in one event, in characters, is no event of this service. */
const LIMIT = 1 << 20;

export class StreamTooLarge extends Error {
  constructor() {
    super("An event of the stream is too large");
  }
}

/** Takes chunks cut anywhere; calls back for every complete event. Throws StreamTooLarge past the limit. */
export function createParser(
  onFrame: (frame: Frame) => void,
  limit = LIMIT,
): (chunk: string) => void {
  let rest = "",
    data: string[] = [],
    size = 0,
    event = "",
    id: string | null = null;
  let skipFeed = false,
    first = true;

  const line = (text: string) => {
    if (text === "") {
      if (data.length) onFrame({ id, event: event || "message", data: data.join("\n") });
      data = [];
      size = 0;
      event = "";
      id = null;
      return;
    }
    if (text[0] === ":") return;
    const [field, value] = splitLine(text);
    if (field === "data") {
      if ((size += value.length) > limit) throw new StreamTooLarge();
      data.push(value);
    } else if (field === "event") event = value;
    else if (field === "id" && !value.includes("\0")) id = value;
  };

  return (chunk) => {
    if (chunk === "") return;
    if (first) {
      first = false;
      if (chunk[0] === "\ufeff") chunk = chunk.slice(1);
    }
    // A CRLF may be cut in two: the LF of it ends no second line.
    if (skipFeed) {
      skipFeed = false;
      if (chunk[0] === "\n") chunk = chunk.slice(1);
    }
    const text = rest + chunk;
    let start = 0;
    // Only the new part can hold a line's end.
    const ends = /\r\n|\n|\r/g;
    ends.lastIndex = rest.length;
    for (let found = ends.exec(text); found; found = ends.exec(text)) {
      line(text.slice(start, found.index));
      start = ends.lastIndex;
      if (found[0] === "\r" && start === text.length) skipFeed = true;
    }
    rest = text.slice(start);
    if (rest.length > limit) throw new StreamTooLarge();
  };
}

/** A line's field and value; one space after the colon is no part of the value. */
function splitLine(text: string): [field: string, value: string] {
  const colon = text.indexOf(":");
  if (colon < 0) return [text, ""];
  return [text.slice(0, colon), text.slice(text[colon + 1] === " " ? colon + 2 : colon + 1)];
}

/** Hands on the text of a stream, until it ends or `onText` wants no more. */
export async function readText(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  onText: (text: string) => boolean,
): Promise<void> {
  const decoder = new TextDecoder();
  for (let got = await reader.read(); !got.done; got = await reader.read())
    if (!onText(decoder.decode(got.value, { stream: true }))) return;
}
