import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

export default defineConfig({
  plugins: [react()],
  base: "./",
  // The component is linked from this repository and brings a React of its own for its tests; an application has one.
  resolve: { dedupe: ["react", "react-dom"] },
  ssr: { noExternal: ["@baton-chat/react"] },
});
