// lunr as its guide uses it: a line of documents in, then for each line with a question a line with the ids found.
import { createInterface } from "node:readline";

const { default: lunr } = await import("lunr");
if (process.argv[2] === "--check") process.exit(0);

let index;
for await (const line of createInterface({ input: process.stdin })) {
  const value = JSON.parse(line);
  if (index === undefined) {
    index = lunr(function () {
      this.field("t", { boost: 4 });
      this.field("h", { boost: 2 });
      this.field("b");
      for (const document of value) this.add(document);
    });
    continue;
  }
  const words = value.match(/[\p{L}\p{N}]+/gu) ?? [];
  const found = index.query((query) => {
    for (const word of words) query.term(lunr.tokenizer(word), {});
  });
  console.log(JSON.stringify(found.slice(0, 20).map((hit) => Number(hit.ref))));
}
