/** Drives OpenAI's own package for JavaScript: a response cut at every event, and taken up again by its number. */
import OpenAI from "openai";
import { cutting, run } from "./harness.mjs";

await run(async ({ url, key, question, cuts }) => {
  const results = [];
  for (const cut of cuts) {
    const open = (fetch) => new OpenAI({ baseURL: `${url}/v1`, apiKey: key, maxRetries: 0, fetch });
    const seen = [];
    let id;
    try {
      const stream = await open(cutting(cut)).responses.create({ model: "m", input: question, stream: true, background: true });
      for await (const event of stream) {
        seen.push(event);
        id ??= event.response?.id;
      }
    } catch (error) {
      if (!/lost|terminated|Connection/.test(error.message)) throw error;
    }
    if (id) {
      const rest = await open(fetch).responses.retrieve(id, { stream: true, starting_after: seen.at(-1).sequence_number });
      for await (const event of rest) seen.push(event);
    }
    results.push({
      numbers: seen.map((event) => event.sequence_number),
      text: seen.map((event) => (event.type === "response.output_text.delta" ? event.delta : "")).join(""),
      last: seen.at(-1)?.type ?? null,
    });
  }
  return results;
});
