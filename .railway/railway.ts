// What Baton needs on Railway: the service and a Redis. `railway config plan` shows what would change, and
// `railway config apply` changes it. The steps are in docs/operating.md. A service that railway.toml manages has to be
// released from it first.
import { defineRailway, github, preserve, project, redis, service } from "railway/iac";

/** Your copy of the repository, such as "you/baton". Empty: the service is deployed with `railway up`. */
const REPOSITORY: string = "";

/** A domain of your own, such as "chat.example.com". Empty: `railway domain` gives the service one of Railway's. */
const DOMAIN: string = "";

/** What you set with `railway variable set`. Add the name of every other setting that you set, so that apply keeps it. */
const YOURS = [
  "BATON_ALLOWED_ORIGINS",
  "BATON_KNOWLEDGE_DIR",
  "BATON_DESK",
  "BATON_API_KEY",
  "BATON_IDENTITY_SECRET",
  "BATON_ENGINE",
  "OPENAI_API_KEY",
  "OPENAI_BASE_URL",
  "OPENAI_MODEL",
];

export default defineRailway((context) => {
  const store = redis("Redis");

  const baton = service("baton", {
    source: REPOSITORY ? github(REPOSITORY) : undefined,
    build: { builder: "DOCKERFILE", dockerfilePath: "Dockerfile" },
    healthcheck: "/health",
    healthcheckTimeout: 60,
    deploy: {
      restartPolicyType: "ON_FAILURE",
      restartPolicyMaxRetries: 10,
      // The old version keeps running beside the new one for a moment, and then has time to finish its answers.
      overlapSeconds: 20,
      drainingSeconds: 35,
    },
    domains: DOMAIN ? [DOMAIN] : [],
    env: {
      // Railway's private network speaks IPv6.
      HOST: "::",
      PORT: "8000",
      REDIS_URL: store.env.REDIS_URL,
      WEB_CONCURRENCY: context.isEnvironment("production") ? "2" : "1",
      // Limits count visitors by their own address, not by that of Railway's proxy.
      BATON_TRUSTED_PROXIES: "1",
      // Without it links are made from RAILWAY_PUBLIC_DOMAIN, which Railway sets.
      ...(DOMAIN ? { BATON_PUBLIC_URL: `https://${DOMAIN}` } : {}),
      ...Object.fromEntries(YOURS.map((name) => [name, preserve()])),
    },
  });

  return project("baton", { resources: [store, baton] });
});
