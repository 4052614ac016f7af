import { useRef, useState } from "react";
import { ChatWidget, type ChatHandle } from "@baton-chat/react";
import "./app.css";

/** The address of your Baton service: `VITE_BATON_URL=https://chat.example.com npm run build`. */
const apiUrl: string = import.meta.env.VITE_BATON_URL ?? "http://127.0.0.1:8000";

export function App() {
  const chat = useRef<ChatHandle>(null);
  const [sessionKey, setSessionKey] = useState<string>();
  const [color, setColor] = useState("#0b6e5f");
  const [isShown, setShown] = useState(true);
  const [isInline, setInline] = useState(false);
  const [events, setEvents] = useState<string[]>([]);
  const log = (event: string) => setEvents((known) => [...known, event]);

  return (
    <main>
      <h1>Baton in React</h1>
      <p>
        <button onClick={() => chat.current?.open()}>Open panel</button>
        <button onClick={() => chat.current?.close()}>Close panel</button>
        <button onClick={() => chat.current?.end()}>End</button>
        <button onClick={() => chat.current?.reset()}>Reset</button>
        <button onClick={() => setShown(!isShown)}>{isShown ? "Unmount" : "Mount"}</button>
        <button onClick={() => setInline(!isInline)}>{isInline ? "Corner" : "Inline"}</button>
      </p>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          setSessionKey(new FormData(event.currentTarget).get("key")?.toString() || undefined);
        }}
      >
        <label>
          Session key <input name="key" placeholder="this browser's own" />
        </label>
        <button>Use it</button>
      </form>
      <label>
        Colour{" "}
        <select value={color} onChange={(event) => setColor(event.target.value)}>
          <option value="#0b6e5f">green</option>
          <option value="#b00020">red</option>
        </select>
      </label>
      <section aria-label="Events">
        <ol>
          {events.map((event, index) => (
            <li key={index}>{event}</li>
          ))}
        </ol>
      </section>
      {isShown && (
        // The list and the functions are new ones with every rendering, which changes nothing.
        <ChatWidget
          ref={chat}
          apiUrl={apiUrl}
          title="Ask us"
          color={color}
          sessionKey={sessionKey}
          suggestions={["quick question"]}
          inline={isInline}
          className="chat"
          onOpen={() => log("open")}
          onClose={() => log("close")}
          onMessage={(message) => log(`${message.role}: ${message.content}`)}
          onSession={({ status }) => log(`session ${status}`)}
        />
      )}
    </main>
  );
}
