import vue from "@vitejs/plugin-vue";
import { defineConfig } from "vite";

export default defineConfig({
  plugins: [vue()],
  base: "./",
  // The component is linked from this repository and brings a Vue of its own for its tests; an application has one.
  resolve: { dedupe: ["vue"] },
  ssr: { noExternal: ["@baton-chat/vue"] },
});
