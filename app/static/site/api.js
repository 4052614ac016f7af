/* Draws /openapi.json as a page to browse. Everything becomes nodes and text; nothing is read as HTML. */
"use strict";

const service = document.getElementById("content").dataset.publicUrl;
const place = document.getElementById("calls");
const index = document.getElementById("index");

/** make("p", {className: "x"}, "text", node, ...) */
function make(name, properties, ...children) {
  const node = Object.assign(document.createElement(name), properties);
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

/** Text in which `words` between backticks are code. */
function prose(text, name = "p", properties = {}) {
  const parts = String(text ?? "").split("`");
  return make(name, properties, ...parts.map((part, at) => (at % 2 ? make("code", {}, part) : part)));
}

let components = {};
const resolve = (schema) => (schema?.$ref ? components[schema.$ref.split("/").pop()] ?? {} : schema ?? {});
const literal = (value) => (value === null ? "null" : JSON.stringify(value));

/** A schema in a few words: `string or null`, `list of Message`, `"up" or "down"`. */
function kind(schema) {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  if ("const" in schema) return literal(schema.const);
  if (schema.enum) return schema.enum.map(literal).join(" or ");
  const choices = schema.oneOf ?? schema.anyOf;
  if (choices) return choices.map(kind).join(" or ");
  if (schema.type === "array") return "list of " + (kind(schema.items) || "anything");
  const type = [schema.type ?? "any"].flat().join(" or ");
  return schema.format ? `${type}, ${schema.format}` : type;
}

function bounds(field) {
  const schema = { ...field.anyOf?.[0], ...field };
  const said = [];
  if (schema.description) said.push(schema.description);
  if ((schema.default ?? null) !== null && !("const" in schema)) said.push(`Default ${literal(schema.default)}.`);
  if (schema.minimum !== undefined && schema.maximum !== undefined) said.push(`From ${schema.minimum} to ${schema.maximum}.`);
  if (schema.maxLength !== undefined) said.push(`At most ${schema.maxLength} characters.`);
  return said.join(" ");
}

/** The rows of an object's fields, and of the objects and lists in them, down to two levels. */
function rows(schema, depth = 0) {
  const whole = resolve(schema);
  const required = new Set(whole.required ?? []);
  return Object.entries(whole.properties ?? {}).flatMap(([name, field]) => {
    const full = resolve(field);
    const inner = full.type === "array" ? full.items : full;
    const label = make("td", { className: depth ? "inner" : "" }, (depth ? "↳ ".repeat(depth) : "") + name);
    const about = prose(bounds(full), "td");
    if (required.has(name)) about.prepend(make("em", {}, "required"), " ");
    const row = make("tr", {}, label, make("td", {}, kind(field)), about);
    return [row, ...(depth < 1 && resolve(inner).properties ? rows(inner, depth + 1) : [])];
  });
}

function table(title, lines) {
  if (!lines.length) return null;
  const head = ["name", "kind", ""].map((text) => make("th", { scope: "col" }, text || "meaning"));
  const body = make("table", { className: "fields" }, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...lines));
  const scroll = make("div", { className: "scroll", tabIndex: 0 }, body);
  scroll.setAttribute("role", "group");
  scroll.setAttribute("aria-label", title);
  return make("div", {}, make("h4", {}, title), scroll);
}

function parameters(call) {
  // A place in the path that needs no word of its own is plain from the path.
  const told = (call.parameters ?? []).filter((one) => one.in !== "path" || one.description);
  const lines = told.map((one) => {
    const about = prose(one.description ?? bounds(resolve(one.schema)), "td");
    if (one.required) about.prepend(make("em", {}, "required"), " ");
    return make("tr", {}, make("td", {}, one.name), make("td", {}, `${one.in}, ${kind(one.schema)}`), about);
  });
  return table("Parameters", lines);
}

function answers(call) {
  const items = Object.entries(call.responses ?? {}).map(([status, answer]) => {
    const media = Object.entries(answer.content ?? {});
    const item = make("li", { className: status < "400" ? "" : "failed" }, make("b", {}, status), describe(answer, media));
    const fields = status < "400" && media.length ? rows(media[0][1].schema) : [];
    if (fields.length) item.append(make("details", {}, make("summary", {}, "Fields"), table(`Fields of ${status}`, fields)));
    return item;
  });
  return make("div", {}, make("h4", {}, "Answers"), make("ul", { className: "statuses" }, ...items));
}

/** What an answer means; the codes of failures lead to their line in the table of errors. */
function describe(answer, media) {
  const text = prose(answer.description, "span");
  if (media.some(([type]) => type === "application/problem+json")) {
    for (const code of text.querySelectorAll("code")) {
      const link = make("a", { href: "#" + code.textContent });
      code.replaceWith(link);
      link.append(code);
    }
  } else if (media.length && media[0][0] !== "application/json") {
    text.append(" ", make("span", { className: "also" }, media.map(([type]) => type).join(", ")));
  }
  return text;
}

function line(verb, path, call) {
  const media = call.requestBody?.content?.["application/json"];
  const body = media?.example ?? (call.requestBody?.required ? {} : null);
  const query = (call.parameters ?? []).filter((one) => one.in === "query" && one.required).map((one) => `${one.name}=...`).join("&");
  const address = service + path.replace("{session_id}", "$ID").replace(/\{(\w+)\}/g, (_, name) => "$" + name.toUpperCase());
  const target = `${address}${query ? "?" + query : ""}`;
  const live = call.responses?.["200"]?.content && "text/event-stream" in call.responses["200"].content && verb === "GET";
  return [`curl ${live ? "-N " : ""}${verb === "GET" ? "" : `-X ${verb} `}${/[?&]/.test(target) ? `"${target}"` : target}`]
    .concat(body ? [`-H 'Content-Type: application/json'`, `-d '${JSON.stringify(body).replaceAll("'", "'\\''")}'`] : [])
    .join(" \\\n  ");
}

function draw(verb, path, call, bearer) {
  const id = call.operationId;
  const code = make("code", { id: "curl-" + id }, line(verb, path, call));
  const shown = make("pre", { tabIndex: 0 }, code);
  shown.setAttribute("role", "group");
  shown.setAttribute("aria-label", `Try it: ${call.summary}`);
  const button = make("button", { className: "button small", type: "button" }, "Copy");
  button.dataset.copy = code.id;
  button.setAttribute("aria-label", `Copy the line for: ${call.summary}`);
  const body = call.requestBody?.content?.["application/json"]?.schema;
  return make("section", { className: "call", id },
    make("h3", {}, call.summary),
    make("p", { className: "route" }, make("span", { className: `verb ${verb}` }, verb), path),
    bearer ? make("p", { className: "also" }, "Also as ", make("code", {}, bearer), " with the id in ", make("code", {}, "Authorization: Bearer"), ".") : null,
    call.description ? prose(call.description) : null,
    parameters(call),
    body ? table(call.requestBody.required ? "Body" : "Body, may be left out", rows(body)) : null,
    answers(call),
    call.responses?.["101"] ? null : make("div", { className: "code" }, shown, button));
}

const verbs = ["get", "post", "put", "patch", "delete"];
const plain = (path) => path.replace("/session/me", "/session/{session_id}");

function show(document_) {
  components = document_.components?.schemas ?? {};
  const groups = new Map((document_.tags ?? []).map((tag) => [tag.name, []]));
  const paths = document_.paths ?? {};
  for (const [path, item] of Object.entries(paths)) {
    for (const verb of verbs.filter((name) => item[name])) {
      const twin = path !== plain(path) && paths[plain(path)]?.[verb];
      if (twin) continue;
      const me = path.replace("{session_id}", "me");
      const tag = item[verb].tags?.[0] ?? "Other";
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push([verb.toUpperCase(), path, item[verb], me !== path && paths[me]?.[verb] ? me : ""]);
    }
  }
  // What needs no session comes first: that is where one begins.
  for (const calls of groups.values()) calls.sort((a, b) => a[1].includes("{") - b[1].includes("{"));
  place.replaceChildren();
  for (const [name, calls] of [...groups].filter(([, found]) => found.length)) {
    const id = "tag-" + name.toLowerCase().replace(/\W+/g, "-");
    const heading = make("h2", { id }, name);
    const group = make("section", { className: "group" }, heading, ...calls.map((one) => draw(...one)));
    group.setAttribute("aria-labelledby", id);
    place.append(group);
    const links = calls.map(([, , call]) => make("li", {}, make("a", { href: "#" + call.operationId }, call.summary.split(";")[0].split(":")[0])));
    index.append(make("section", {}, make("h2", {}, name), make("ul", {}, ...links)));
  }
  index.append(make("section", {}, make("h2", {}, "Errors"), make("ul", {}, make("li", {}, make("a", { href: "#errors" }, "All codes")))));
  // What the address points at was not there yet when the browser looked for it.
  if (location.hash.length > 1) document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
}

fetch("/openapi.json")
  .then((response) => (response.ok ? response.json() : Promise.reject(new Error(String(response.status)))))
  .then(show)
  .catch(() => place.replaceChildren(make("p", {}, "The description could not be read. Please load the page again.")));
