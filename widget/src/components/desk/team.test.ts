/** The operators as admins see them: invitations, new links, removal. */
import { afterEach, describe, expect, it, vi } from "vitest";
import { registerChunk } from "../../client/lazy-chunks";
import en from "../../locales/desk/en.json";
import { language } from "../../locales/i18n";
import type { Role, Teammate } from "../../state/desk-types";
import { BatonDeskTeam } from "./team";

registerChunk("messages", { words: en });
const anna: Teammate = { id: "op_1", name: "Anna", role: "admin", present: true, available: true };
const berta: Teammate = {
  id: "op_2",
  name: "Berta",
  role: "viewer",
  present: false,
  available: false,
};

/** The element beside a service that does what it is asked. */
async function shown() {
  const people = [anna, berta];
  const element = new BatonDeskTeam();
  element.words = language("en");
  element.ownId = anna.id;
  element.api = {
    team: async () => [...people],
    invite: async (name: string, role: Role) => {
      people.push({ id: `op_${people.length + 1}`, name, role, present: false, available: false });
      return `https://x.test/desk#invite=inv_${name}`;
    },
    inviteAgain: async (id: string) => `https://x.test/desk#invite=inv_${id}`,
    removeOperator: async (id: string) => {
      people.splice(
        people.findIndex((one) => one.id === id),
        1,
      );
    },
  };
  document.body.append(element);
  const root = element.renderRoot;
  const settle = async () => {
    for (let turn = 0; turn < 5; turn++) await element.updateComplete;
  };
  await vi.waitFor(() => expect(root.querySelector("li")).not.toBeNull());
  return {
    settle,
    names: () => [...root.querySelectorAll("li bdi")].map((one) => one.textContent),
    link: () => root.querySelector<HTMLInputElement>(".link input")?.value ?? "",
    press: async (name: string) => {
      root.querySelector<HTMLButtonElement>(`button[aria-label="${name}"]`)!.click();
      await settle();
    },
    labels: () =>
      [...root.querySelectorAll("li button")].map((one) => one.getAttribute("aria-label")),
    submit: async (name: string) => {
      root.querySelector<HTMLInputElement>("[name=name]")!.value = name;
      root.querySelector("form")!.dispatchEvent(new SubmitEvent("submit", { cancelable: true }));
      await settle();
    },
  };
}

afterEach(() => document.body.replaceChildren());

describe("the team", () => {
  it("shows everybody, and lets nobody remove themselves", async () => {
    const { names, labels } = await shown();
    expect(names()).toEqual(["Anna", "Berta"]);
    expect(labels()).toEqual(["New link for Anna", "New link for Berta", "Remove Berta"]);
  });

  it("invites, and shows the link", async () => {
    const { submit, names, link } = await shown();
    await submit("  ");
    expect(link()).toBe("");
    await submit(" Carl ");
    expect(names()).toEqual(["Anna", "Berta", "Carl"]);
    expect(link()).toBe("https://x.test/desk#invite=inv_Carl");
  });

  it("makes a new link for somebody", async () => {
    const { press, link } = await shown();
    await press("New link for Berta");
    expect(link()).toBe("https://x.test/desk#invite=inv_op_2");
  });

  it("removes at the second press", async () => {
    const { press, names } = await shown();
    await press("Remove Berta");
    expect(names()).toEqual(["Anna", "Berta"]);
    await press("Really remove Berta");
    expect(names()).toEqual(["Anna"]);
  });
});
