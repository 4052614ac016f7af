/* The install page: writes the tag from the form, shows the widget with it, and tests a site. */
"use strict";

const bench = document.getElementById("content");
const form = document.getElementById("options");
const tag = document.getElementById("tag");
const pinned = document.getElementById("pinned");
const frame = document.getElementById("preview");
const service = bench.dataset.publicUrl;

/** The options that differ from how the widget comes, as [name, value], in the order of the form. */
function chosen() {
  const found = [];
  for (const [name, value] of new FormData(form)) {
    const field = form.elements[name];
    let text = String(value).trim();
    if (!text || !field.validity.valid) continue;
    if (name === "suggestions") text = JSON.stringify(text.split("\n").map((line) => line.trim()).filter(Boolean));
    found.push([name, text]);
  }
  return found;
}

/** An attribute as it stands in HTML, in the quotes that need least escaping. */
function attribute(name, value) {
  const safe = value.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  if (!safe.includes('"')) return `${name}="${safe}"`;
  return `${name}='${safe.replaceAll("'", "&#39;")}'`;
}

function write(options) {
  const first = pinned.checked
    ? `${attribute("src", bench.dataset.pinned)} ${attribute("integrity", bench.dataset.integrity)} crossorigin="anonymous"`
    : attribute("src", service + "/widget.js");
  const rest = options.map(([name, value]) => "\n  " + attribute("data-" + name, value)).join("");
  tag.textContent = `<script ${first} defer${rest}></` + "script>";
}

/** A page of its own in the frame, so that the widget there is the real one and never mixes with this page's. */
function show(options) {
  frame.onload = () => {
    const inside = frame.contentDocument;
    const style = inside.createElement("link");
    style.rel = "stylesheet";
    style.href = bench.dataset.previewStyle;
    const script = inside.createElement("script");
    script.src = "/widget.js";
    // A chat tried out here shall not be found again on the site, nor the other way round.
    for (const [name, value] of [...options, ["session-scope", "page"]]) script.setAttribute("data-" + name, value);
    inside.head.append(style, script);
  };
  frame.srcdoc = '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A site</title></head><body>' +
    "<header><b></b><i></i><i></i><i></i></header><main><h1></h1><p></p><p></p><p></p><section><div></div><div></div></section></main></body></html>";
}

let later = 0;
function follow() {
  const options = chosen();
  write(options);
  clearTimeout(later);
  later = setTimeout(() => show(options), 350);
}

form.addEventListener("input", follow);
form.addEventListener("reset", () => setTimeout(follow));
form.addEventListener("submit", (event) => event.preventDefault());
document.getElementById("swatch").addEventListener("input", (event) => { form.elements.color.value = event.target.value; });
form.elements.color.addEventListener("input", (event) => {
  if (/^#[0-9a-f]{6}$/i.test(event.target.value)) document.getElementById("swatch").value = event.target.value;
});
pinned.disabled = !bench.dataset.pinned;
pinned.addEventListener("change", () => {
  document.getElementById("pinned-hint").hidden = !pinned.checked;
  write(chosen());
});
document.getElementById("preview-open").addEventListener("click", () => frame.contentWindow.Baton?.toggle());
write(chosen());
show(chosen());

/* Test my site */

const findings = document.getElementById("findings");

function tell(kind, text) {
  const item = document.createElement("li");
  item.className = kind;
  item.textContent = text;
  findings.append(item);
}

function parsed(typed) {
  const text = typed.trim();
  try {
    const url = new URL(/^[a-z]+:\/\//i.test(text) ? text : "https://" + text);
    const host = /^(\[[0-9a-f:.]+\]|[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?)$/;
    return /^https?:$/.test(url.protocol) && host.test(url.hostname) ? url : null;
  } catch {
    return null;
  }
}

function judgeOrigin(site) {
  const allowed = bench.dataset.origins.split(" ").filter(Boolean);
  if (allowed.includes("*")) return tell("good", `${site.origin} is allowed: this service lets every site embed it.`);
  if (allowed.includes(site.origin)) return tell("good", `${site.origin} is allowed.`);
  tell("bad", `${site.origin} is not allowed. Add it to BATON_ALLOWED_ORIGINS, exactly like this, and restart the service.`);
  const close = allowed.find((origin) => new URL(origin).hostname.replace(/^www\./, "") === site.hostname.replace(/^www\./, ""));
  if (close) tell("note", `${close} is allowed. For a browser that is another site: the scheme, “www.” and the port all count.`);
}

function judgeAddress(site) {
  const ours = new URL(service);
  if (site.protocol === "https:" && ours.protocol === "http:" && !/^(localhost|127\.|\[::1\])/.test(ours.hostname)) {
    tell("bad", "Your site is https and this service’s address is http. Browsers block that combination: give the service an https address in BATON_PUBLIC_URL.");
  }
  if (/^(localhost|127\.|\[::1\])/.test(ours.hostname) && !/^(localhost|127\.|\[::1\])/.test(site.hostname)) {
    tell("bad", `The tag names ${ours.host}, which is your own machine. Visitors elsewhere cannot reach it: set BATON_PUBLIC_URL to the service’s public address.`);
  } else if (ours.origin !== location.origin) {
    tell("note", `You opened this page at ${location.origin}, but the tag names ${ours.origin}. Visitors need the second address to work.`);
  }
}

async function judgeService() {
  try {
    const [script, health] = await Promise.all([
      fetch("/widget.js", { cache: "no-store" }),
      fetch("/health", { cache: "no-store" }),
    ]);
    const state = await health.json();
    if (script.ok) tell("good", "The script to paste is there.");
    else tell("bad", `The script to paste is missing (status ${script.status}). Build it with “make widget”.`);
    if (health.ok) tell("good", "The service answers and its storage works.");
    else tell("bad", `The service answers, but its storage does not: ${state.redis || "no reason given"}.`);
  } catch {
    tell("bad", "The service did not answer. Is it running, and are you online?");
  }
}

document.getElementById("check").addEventListener("submit", async (event) => {
  event.preventDefault();
  findings.replaceChildren();
  const site = parsed(event.target.elements.site.value);
  if (!site) return tell("bad", "That is not the address of a website. It should look like https://www.example.com.");
  judgeOrigin(site);
  judgeAddress(site);
  await judgeService();
  document.getElementById("console").hidden = false;
});
