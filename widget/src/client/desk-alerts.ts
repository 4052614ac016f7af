/** How an operator who looks elsewhere hears of news: a count in the title, a sound, a desktop notification. */

/** Two short notes: higher where somebody waits for a person. */
const NOTES = { queue: [660, 880], message: [523, 523] } as const;
const NOTE_SECONDS = 0.14;
const VOLUME = 0.08;

let audio: AudioContext | undefined;

/** Made by the browser itself, without a file. Silent where the browser does not allow it before a first click. */
export function playSound(kind: keyof typeof NOTES): void {
  if (!("AudioContext" in globalThis)) return;
  audio ??= new AudioContext();
  if (audio.state === "suspended") void audio.resume().catch(() => {});
  NOTES[kind].forEach((frequency, at) => playNote(audio!, frequency, at * NOTE_SECONDS));
}

function playNote(context: AudioContext, frequency: number, after: number): void {
  const [tone, volume] = [context.createOscillator(), context.createGain()];
  const from = context.currentTime + after;
  tone.frequency.value = frequency;
  volume.gain.setValueAtTime(0, from);
  volume.gain.linearRampToValueAtTime(VOLUME, from + 0.01);
  volume.gain.exponentialRampToValueAtTime(0.001, from + NOTE_SECONDS);
  tone.connect(volume).connect(context.destination);
  tone.start(from);
  tone.stop(from + NOTE_SECONDS);
}

/** Asks the browser's user; false where notifications are not allowed. */
export async function allowNotifications(): Promise<boolean> {
  if (!("Notification" in globalThis)) return false;
  return (await Notification.requestPermission()) === "granted";
}

/** One notification a conversation: a newer one takes its place. `open` is called when it is pressed. */
export function notify(title: string, body: string, tag: string, open: () => void): void {
  if (!("Notification" in globalThis) || Notification.permission !== "granted") return;
  try {
    const shown = new Notification(title, { body, tag });
    shown.onclick = () => {
      window.focus();
      shown.close();
      open();
    };
  } catch {
    /* phones allow it in service workers alone */
  }
}

export function showCount(title: string, count: number): void {
  const wanted = count ? `(${count}) ${title}` : title;
  if (document.title !== wanted) document.title = wanted;
}
