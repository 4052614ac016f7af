import { defineConfig } from "vitest/config";

// happy-dom gives the elements a document; nothing in a unit test may reach the network.
export default defineConfig({
  define: { __WIDGET__: "false" },
  test: {
    environment: "happy-dom",
    include: ["{src,shared,test}/**/*.test.ts"],
    testTimeout: 10_000,
  },
});
