import { createApp, createSSRApp } from "vue";
import App from "./App.vue";

const root = document.getElementById("root")!;
// Built pages come with their HTML (prerender.js), `npm run dev` serves an empty root.
(root.firstElementChild ? createSSRApp(App) : createApp(App)).mount(root);
