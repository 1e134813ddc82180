import { arg, list, text, toggle, verb } from "../verb-spec.ts";
import { TIMEOUT } from "./arguments.ts";

const FARM_FLAGS = [
  text("data", "DIR", "Data folder; ./.granary when not given.", { env: "GRANARY_DATA" }),
  text("port", "N", "Port of api and registry: 7421 when not given, 0 takes a free one.", {
    env: "GRANARY_PORT",
  }),
  text("listen", "ADDR", "Address to listen on; 127.0.0.1 when not given.", { env: "GRANARY_LISTEN" }),
  toggle("insecure", "Listen beyond loopback without TLS: a proxy in front does it."),
  text("threads", "N", "Worker threads; as many as cores when not given.", { env: "GRANARY_THREADS" }),
  text("nats", "URL", "NATS servers to use instead of a private one.", { env: "GRANARY_NATS" }),
  text("node", "NAME", "This node's name.", { env: "GRANARY_NODE" }),
  list("label", "K=V", "Label of this node; may be repeated."),
  text("config", "FILE", "The farm's configuration file; flags win over it.", { env: "GRANARY_CONFIG" }),
] as const;
const NODES = [arg("NODE", "Name of a node.", { optional: true, many: true })];
const NODE_CHOICE = [
  list("label", "K=V", "Nodes with this label; may be repeated, then all have to fit.", { short: "l" }),
  toggle("all", "All nodes."),
] as const;

/** Running a farm: its processes, nodes and queue. */
export const FARM_VERBS = [
  verb({
    name: "up",
    group: "Operate",
    summary: "Run a whole farm in this process",
    details: ["Saves the context `local`. With --json one line is printed when everything answers."],
    flags: FARM_FLAGS,
    example: "granary up --data ./.granary",
  }),
  verb({
    name: "serve",
    group: "Operate",
    summary: "Run single roles of a farm, for several machines",
    args: [arg("ROLE", "api, node, pointer, registry or hooks.", { many: true })],
    flags: FARM_FLAGS,
    example: "granary serve pointer --nats nats://127.0.0.1:4222",
  }),
  verb({
    name: "node ls",
    aliases: ["nodes", "nodes ls"],
    group: "Operate",
    summary: "List the nodes of the farm",
    example: "granary node ls",
  }),
  verb({
    name: "scale",
    group: "Operate",
    summary: "Change how many worker threads nodes have, while they run",
    details: [
      "Threads that are to go finish their task first; nothing is lost or done twice. The setting is kept through restarts and wins over",
      "`up --threads`; `--threads default` takes it back.",
    ],
    args: NODES,
    flags: [text("threads", "N", "Worker threads, 1 to 256, or `default`."), ...NODE_CHOICE],
    example: "granary scale local --threads 4",
  }),
  verb({
    name: "cordon",
    group: "Operate",
    summary: "Let nodes take no new jobs; what runs goes on, and publishes wait",
    args: NODES,
    flags: NODE_CHOICE,
    example: "granary cordon local",
  }),
  verb({
    name: "uncordon",
    group: "Operate",
    summary: "Let nodes take jobs again",
    args: NODES,
    flags: NODE_CHOICE,
    example: "granary uncordon local",
  }),
  verb({
    name: "drain",
    group: "Operate",
    summary: "Cordon nodes and wait until nothing runs on them",
    args: NODES,
    flags: [...NODE_CHOICE, TIMEOUT],
    example: "granary drain local --timeout 5m",
  }),
  verb({
    name: "queue ls",
    aliases: ["queue", "queues", "queues ls"],
    group: "Operate",
    summary: "Show what waits and runs, by lane and org",
    example: "granary queue ls",
  }),
] as const;
