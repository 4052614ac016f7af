import { describe, expect, it } from "vitest";
import { shortPage } from "./conversation-list";

describe("the page of a conversation", () => {
  it.each([
    ["https://shop.test/pricing?plan=pro", "/pricing?plan=pro"],
    ["https://shop.test/ar/%D8%B7%D9%84%D8%A8", "/ar/طلب"],
    ["https://shop.test/ar/طلب", "/ar/طلب"],
    ["https://shop.test/%2F%3Fa", "/%2F%3Fa"],
    ["https://shop.test/a%E2%80%AEb", "/a%E2%80%AEb"],
    ["https://shop.test/a%20b", "/a%20b"],
    ["https://shop.test/%FF", "https://shop.test/%FF"],
    ["Pricing", "Pricing"],
  ])("%s is shown as people read it, and without what turns writing around", (page, shown) =>
    expect(shortPage(page)).toBe(shown),
  );
});
