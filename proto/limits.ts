/** Every bound in the system, with its reason. Units last in the name. Shown by `GET /v1/limits`. */

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;

/** Limits of one archive; an operator may change each of them (`[limits]` in the farm's configuration). */
export interface ArchiveLimits {
  /** Compressed upload: what one CI job can reasonably send in one body. */
  readonly uploadBytes: number;
  /** Sum of all file sizes plus headers after decompression. */
  readonly expandedBytes: number;
  /** One file. */
  readonly fileBytes: number;
  /** Entries of the archive, metadata headers not counted; also of a canonical tree. */
  readonly entries: number;
  /** Expanded bytes per compressed byte, checked after the first {@link ArchiveLimits.ratioGraceBytes}. */
  readonly ratio: number;
  /** Deflate reaches 1032:1 on zeros: small archives of empty files are legitimate, hence a grace. */
  readonly ratioGraceBytes: number;
  /** One pax or GNU long-name header. */
  readonly metaBytes: number;
  /** All metadata headers of one archive together, beyond the first {@link LIMITS.metaFreeBytes} of each. */
  readonly metaTotalBytes: number;
  /** One gzip header with its optional name and comment fields. */
  readonly gzipHeaderBytes: number;
  /** Members of one gzip stream: pigz and `cat` make a few, an attack makes 200,000. */
  readonly gzipMembers: number;
  /** A whole path, UTF-8 bytes. */
  readonly pathBytes: number;
  /** One path segment, UTF-8 bytes: what common file systems hold. */
  readonly segmentBytes: number;
  /** Segments of a path. */
  readonly depth: number;
  /** Wall-clock time of one extraction. */
  readonly extractMs: number;
}

export const ARCHIVE_LIMITS: ArchiveLimits = {
  uploadBytes: 512 * MIB,
  expandedBytes: 2 * GIB,
  fileBytes: 1 * GIB,
  entries: 200_000,
  ratio: 200,
  ratioGraceBytes: 8 * MIB,
  metaBytes: 64 * KIB,
  metaTotalBytes: 1 * MIB,
  gzipHeaderBytes: 4 * KIB,
  gzipMembers: 10_000,
  pathBytes: 1024,
  segmentBytes: 255,
  depth: 64,
  extractMs: 10 * 60_000,
};

export const LIMITS = {
  /** Bytes of each metadata header that do not count towards `metaTotalBytes`: what GNU tar and Python write for every entry. */
  metaFreeBytes: 256,
  /** Blobs up to this size live in packs, larger ones in a file each (ruling 5). */
  packedBlobBytes: 8 * MIB,
  /** A segment is closed when it passes this size: small enough to rewrite in GC, large enough to be few. */
  segmentBytes: 256 * MIB,
  /** Rows that GC changes in one transaction: 10 ms, which is how long a publish may have to wait for it. */
  gcSliceRows: 1_000,
  /** GC copies what lives of a segment elsewhere once this share of it is dead: at 0.5 a byte that is won costs at most one that is written. */
  gcRewriteDeadShare: 0.5,
  /** ... and at least this much, because each rewritten segment costs a new file and its syncs. */
  gcRewriteDeadBytes: 64 * KIB,
  /** ... and gathers small segments when there are so many of them: each start of a thread, each publish that was cut off leaves one. */
  gcSmallSegments: 64,
  gcSmallSegmentBytes: 4 * MIB,
  /** ... while less than this is left of the disk: then each transaction's pages have to fit into what the ballast was. */
  gcTightBytes: 64 * MIB,
  gcTightSliceRows: 100,
  /** Kept on the disk so that garbage can be collected when it is full: 100 rows change some 800 KiB of pages, and three generations of them live. */
  storeBallastBytes: 8 * MIB,
  /** How long GC waits for tasks and readers that began before it condemned something; what they hold up is left to the next run. */
  gcPatienceMs: 5_000,
  /** Range reads verify one crc32 per this many bytes. */
  crcChunkBytes: 1 * MIB,
  /** karta.toml: smol-toml needs 2.4 s for 200k keys, so the size is capped before parsing. */
  manifestBytes: 64 * KIB,
  manifestDepth: 64,
  /** A NATS message: jobs, commands and events carry digests, never content. */
  messageBytes: 256 * KIB,
  /** JSON request bodies. */
  jsonBodyBytes: 256 * KIB,
  /** Dependency folders that get a layer of their own; with more, all of them share one (overlayfs mounts ~127 layers). */
  dependencyLayers: 32,
  /** Publishes of one org that wait or run; one more gets 429. */
  queuedPublishesPerOrg: 5_000,
  /** Worker threads of one node: more than cores are slower already, and each may need 150 MB. */
  threadsPerNode: 256,
  /** Publishes of one org that all nodes together work on: what an org sends at once must not be all that a farm does. */
  orgJobsAtOnce: 16,
  /**
   * Jobs per thread: most of a small publish is waiting (commands, syncs), and jobs that wait together share a sync. With 32 clients
   * on 2 busy cores, 2 / 4 / 8 / 16 slots gave 40 / 79 / 73 / 48 small publishes a second.
   */
  jobsPerThread: 4,
  /** Lines and characters of one publish's log, and characters of one line: a build prints megabytes, a person reads some hundred lines. */
  logLines: 5_000,
  logLength: 512 * KIB,
  logLineLength: 4_000,
  /** How long the log of a publish is kept after its end. */
  logKeepMs: 30 * 24 * 3_600_000,
  /** Deliveries of one job before it is declared poison. */
  jobDeliveries: 5,
  /** How long an idempotency key binds. */
  idempotencyKeyMs: 7 * 24 * 3_600_000,
  idempotencyKeyBytes: 255,
  /** Longest time of a hold or a token that has an end: years beyond 9999 are no RFC 3339. */
  durationMs: 3_650 * 24 * 3_600_000,
  /** Longest time to live of a preview; what has to stay longer is pinned. */
  previewTtlMs: 3_650 * 24 * 3_600_000,
  /** Most that `retention` may count: its rule walks that many releases for each one that it retires. */
  keepLastReleases: 1_000,
  /** How long a read with `min_seq` or `consistent` waits for the local replica: it is milliseconds behind, or something is wrong. */
  behindMs: 5_000,
  /** How long a session keeps its release when nothing else is said: most are over by then, and each costs rows. */
  sessionTtlDefaultMs: 3_600_000,
  /** Longest time to live of a session; it can be extended again and again. */
  sessionTtlMs: 30 * 24 * 3_600_000,
  /** Sessions of one project that live at once: about 100 MB of state. Whoever starts 300/s ends them, or lets them live for 5 min. */
  sessionsPerProject: 100_000,
  /** Groups of subscribers of one org; each holder renews its claim every few seconds. */
  subscriptionsPerOrg: 1_000,
  /** How long a subscriber that fell silent keeps its group waiting. It renews three times as often. */
  subscriptionClaimMs: 30_000,
  /** Name of a subscriber, bytes. */
  subscriberBytes: 128,
  /** How long the result of a session's command is kept: longer than a request is repeated. At 300/s a week would be 180 million. */
  sessionResultMs: 5 * 60_000,
  /** References that `store why` names, and trees that it looks into: one of 50,000 files takes about 5 ms. */
  whyReferences: 100,
  whyTrees: 10_000,
  /** Digests that `POST /v1/store:heal` names: 7 MB of JSON. What is lost beyond is named when these have come. */
  lostDigests: 100_000,
  reasonBytes: 1_000,
  commitBytes: 64,
  sourceBytes: 2_000,
  /** Rows of one page of a list. */
  pageItems: 200,
  /** Rows that are looked at in one turn for those of a page that fit: about 5 ms. */
  scannedRows: 1_000,
  /** Turns of one request: what has not been found in 10,000 rows is left to the next page. */
  scansPerPage: 10,
  /** Rows of one page of a release's files, or of a diff; what is beyond is counted. */
  fileItems: 10_000,
  /** Listings and diffs that one api works on at once: each may hold two trees of up to 60 MB, and it is one thread that reads them. */
  treeReadsAtOnce: 2,
  /** ... and that wait for their turn, or for a client that reads its answer of up to 5 MB. */
  treeReads: 64,
  /** A client that takes nothing of an answer for this long is cut off: a pull that stands still holds some MiB, and content that could go. */
  answerIdleMs: 30_000,
  warnings: 20,
  /** A body that sends less than this in {@link bodyIdleMs} is cut off: a slow client must not hold a slot for ever. */
  bodyIdleMs: 30_000,
  headersMs: 10_000,
  /** Longest wait in one request (`?wait=`, `Prefer: wait=`). */
  waitMs: 60_000,
  /** Uploads that are received at once by one api. */
  concurrentUploads: 512,
  /** Blobs that one process sends to registry clients at once; each holds up to 3 MiB here while its reader is slow. */
  pullsAtOnce: 512,
  /** Streams of server-sent events that one api has open: one that nobody reads holds some 100 KB here, and up to 4 MB in the system's buffers. */
  eventFeeds: 4_096,
  /** Commands of requests that one api has under way: what the log takes in one or two seconds. An upload's acceptance is bounded with the uploads. */
  commandsAtOnce: 1_024,
  /** What one org may have of what the others leave: of 512 uploads 384 alone, 96 beside such a one, 24 beside two. */
  orgShare: 0.75,
  /** A listing as sent: 200,000 entries are about 10 MB, and it is held in memory while it is read. */
  listingGzipBytes: 32 * MIB,
  /** A listing after decompression: 200,000 entries of common path lengths are 24 MB. */
  listingBytes: 64 * MIB,
  /** Listings that one api holds at once, all together. */
  listingsHeldBytes: 128 * MIB,
  /** How long an upload session of a directory publish waits for its commit. */
  uploadSessionMs: 24 * 3_600_000,
  /** Trusts of one org: a CI system has a handful, and an exchange looks at all of them. */
  trustsPerOrg: 200,
  /** Claims of a trust, values of a claim, characters of a value. */
  trustClaims: 16,
  trustClaimValues: 32,
  trustValueLength: 500,
  /** An id token of a CI job: GitHub's have 2 KB. It is read before anybody has authenticated. */
  idTokenBytes: 16 * KIB,
  /** Oldest id token that is accepted: GitLab makes them when a job begins, and jobs take a while. */
  idTokenAgeMs: 3_600_000,
  /** Difference between an issuer's clock and ours. */
  idTokenSkewMs: 30_000,
  /** A token that was issued for an id token: longer than a publish takes, shorter than a leaked log is read. */
  exchangedTokenMs: 10 * 60_000,
  /** Exchanges that one api verifies at once. */
  idTokensVerified: 32,
  /** Discovery document and key set of an issuer. */
  issuerAnswerBytes: 256 * KIB,
  issuerAnswerMs: 5_000,
  /** How long a backup may keep garbage collection from starting. */
  backupMs: 24 * 3_600_000,
  /** The list of a backup's files: 150 bytes for each segment, big file and upload. It is read before anything of it is believed. */
  backupManifestBytes: 256 * MIB,
  /** Sessions of one org that wait for their commit. */
  uploadSessionsPerOrg: 1_000,
  /** What nobody asked for this long may go for a new session of its org: jobs that were killed never come back, slow ones do sooner. */
  uploadSessionIdleMs: 10 * 60_000,
  /** Commands that a farm may have had behind its newest backup: 115 days of 1,000 a second. Numbers have 15 digits. */
  commandsLost: 10_000_000_000,
  /** Events that the state keeps of an org, whatever their age: some 10 GB. */
  eventsPerOrg: 10_000_000,
  /** Each is a reader of the org's events with a delivery in flight. */
  webhooksPerOrg: 50,
  webhookUrlBytes: 2_000,
  /** One delivery, from looking the host up to the end of the answer: what Standard Webhooks recommends. */
  webhookAttemptMs: 15_000,
  /** An answer is read for its status; what is longer is cut off. */
  webhookAnswerBytes: 16 * KIB,
  /** Failures in a row after which a webhook is disabled: four to five days, since each waits longer. */
  webhookFailures: 25,
  /** Projects whose events wait for another attempt while those of others go on. */
  webhookLanes: 100,
  /** Deliveries in flight of one farm. */
  webhookDeliveries: 64,
  /** Attempts that the delivery log keeps of each webhook. */
  webhookLogEntries: 100,
  /** Tests and replays of one webhook that are remembered. */
  webhookRequests: 20,
  /** Connections of subscribers to the bus: half of what the nats-server takes, so that the farm's own always find room. */
  busConnections: 2_000,
  /** ... of one org: a few programs with their replicas. Each that reads nothing costs memory for 10 s of the org's events. */
  busConnectionsPerOrg: 50,
  /** Subscriptions of one such connection: one hears the whole org. */
  busSubscriptions: 64,
  /** A message of a subscriber, which is refused whatever its size. */
  busMessageBytes: KIB,
  /** A connection shows its token again after about this long, even if nobody watched it meanwhile. */
  busLoginMs: 3_600_000,
} as const;
