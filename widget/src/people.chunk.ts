/** What is fetched where people answer, too: the way to them, the queue, and who is here. */
import { peopleStyles } from "./components/people.styles";

/** The English words that are needed here alone; the build leaves them out of the panel. */
export { default as words } from "./locales/en.json";
export { createPeople } from "./state/people";
export { contactDialog } from "./components/contact-dialog";
export { composerHint, peopleLine, peopleTail, readAlong, talkToPerson } from "./components/people";
export { peopleStyles };
