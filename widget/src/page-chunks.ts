/** Everything in one file, for the full page: nothing of it is fetched later. */
import { asideStyles, asideView } from "./components/sources";
import { registerChunk } from "./client/lazy-chunks";
import * as identity from "./state/identity";
import * as locks from "./locks.chunk";
import * as messages from "./messages.chunk";
import * as people from "./people.chunk";
import * as phone from "./phone.chunk";
import ar from "./locales/ar.json";
import de from "./locales/de.json";

registerChunk("messages", messages);
registerChunk("people", people);
registerChunk("phone", phone);
registerChunk("locks", locks);
registerChunk("identity", identity);
registerChunk("aside", { asideView, asideStyles });
registerChunk("locale-de", { default: de });
registerChunk("locale-ar", { default: ar });
