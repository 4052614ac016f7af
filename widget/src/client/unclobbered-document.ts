/**
 * `document` without named elements. `<img name="currentScript">` or `<form name="body">` in a page's content replaces
 * that property of `document`; here each one is read from the prototype. build.mjs puts this in place of the global
 * `document` in every bundle that runs on a host page, Lit included; the loader has a smaller one.
 */
const real = globalThis.document;
const node = (one: unknown) => (one === document ? real : one);
/** The named property as `prototype` has it; DOM methods and setters get the real document where they are given this one. */
const clean = <T extends object>(prototype: T, of: T): T =>
  new Proxy(
    {},
    {
      get(_, name) {
        const found: unknown = Reflect.get(prototype, name, of);
        return typeof found === "function"
          ? (...given: unknown[]) => {
              const made: unknown = found.apply(of, given.map(node));
              return made instanceof TreeWalker ? clean(TreeWalker.prototype, made) : made;
            }
          : found;
      },
      set: (_, name, value) => Reflect.set(prototype, name, node(value), of),
    },
  ) as T;

export const document: Document = /* @__PURE__ */ clean(Document.prototype, real);
