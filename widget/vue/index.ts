/** `<ChatWidget>` for Vue 3: Baton's chat in the corner, or inline. Renders on a server, too. */
import {
  computed,
  defineComponent,
  h,
  nextTick,
  onBeforeUnmount,
  onMounted,
  shallowRef,
  watch,
  type PropType,
} from "vue";
import {
  dataAttributes,
  mountInline,
  mountLauncher,
  serializeOptions,
  type ChatEvents,
  type ChatHandle,
  type ChatMessage,
  type ChatOptions,
  type ChatSession,
  type MountedChat,
  type UserToken,
} from "../shared/chat-widget.js";

export type {
  ChatHandle,
  ChatMessage,
  ChatOptions,
  ChatSession,
  UserToken,
} from "../shared/chat-widget.js";

const component = defineComponent({
  name: "ChatWidget",
  props: {
    apiUrl: { type: String, required: true },
    /** The conversation itself, where the component stands, instead of a launcher in the corner. */
    inline: { type: Boolean, default: false },
    sessionKey: String,
    sessionScope: String as PropType<ChatOptions["sessionScope"]>,
    sessionExpiry: Number,
    heartbeatInterval: Number,
    // Without a default of its own an absent Boolean would be `false`.
    autoRestore: { type: Boolean as PropType<boolean | undefined>, default: undefined },
    onEnd: String as PropType<ChatOptions["onEnd"]>,
    color: String,
    position: String as PropType<ChatOptions["position"]>,
    offset: String,
    title: String,
    greeting: String,
    suggestions: Array as PropType<readonly string[]>,
    theme: String as PropType<ChatOptions["theme"]>,
    lang: String,
    chatUrl: String,
  },
  emits: {
    open: () => true,
    close: () => true,
    message: (message: ChatMessage) => Boolean(message),
    session: (session: ChatSession) => Boolean(session),
  },
  setup(props, { emit, expose }) {
    const element = shallowRef<HTMLElement>();
    const events: ChatEvents = {
      open: () => emit("open"),
      close: () => emit("close"),
      message: (message) => emit("message", message),
      session: (session) => emit("session", session),
    };
    const serialized = computed(() => serializeOptions(props));
    let chat: MountedChat | undefined;

    function mount(): void {
      chat = element.value
        ? mountInline(element.value, props, events)
        : mountLauncher(props, events);
    }
    function unmount(): void {
      chat?.unmount();
      chat = undefined;
    }
    onMounted(mount);
    onBeforeUnmount(unmount);
    watch(serialized, () => chat?.update(props), { flush: "post" });
    watch(
      () => props.inline,
      () => {
        unmount();
        void nextTick(mount);
      },
      { flush: "post" },
    );

    expose({
      open: () => chat?.open(),
      close: () => chat?.close(),
      end: () => chat?.end(),
      identify: (token: UserToken) => chat?.identify(token),
      reset: () => chat?.reset(),
    } satisfies ChatHandle);

    return () =>
      props.inline ? h("baton-chat", { ref: element, ...dataAttributes(props) }) : null;
  },
});

/** A template ref of it is a `ChatHandle`. */
export const ChatWidget = component as typeof component & {
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- what Vue's own constructor types take
  new (...args: any[]): InstanceType<typeof component> & ChatHandle;
};
