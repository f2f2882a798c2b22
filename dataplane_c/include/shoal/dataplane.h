/* SPDX-License-Identifier: BSD-3-Clause */
/* What the bindings read: the control side of a process's data plane. Plain C, no inline functions; cffi parses this
 * file. Unless stated, a function is called from one control thread, never blocks for longer than it says, and returns 0
 * or -errno with a sentence for the operator in shoal_last_error(). The data path runs in threads of its own; commands
 * reach it through a mailbox that it empties at each poll. */
#ifndef SHOAL_DATAPLANE_H
#define SHOAL_DATAPLANE_H

#include <shoal/types.h>

/* The calling thread's last error, as a sentence; "" if none. */
const char *shoal_last_error(void);

/* Starts EAL once in a process. arguments[0] is the program's name. */
int shoal_eal_start(int count, const char *const *arguments);
void shoal_eal_stop(void);

/* --- Threads ------------------------------------------------------------------------------------------------------ */

enum shoal_idle_policy { SHOAL_IDLE_SPIN, SHOAL_IDLE_YIELD, SHOAL_IDLE_SLEEP };

struct shoal_runner_config {
	char name[16]; /* of the thread */
	int cpu; /* -1: any */
	int idle_policy; /* enum shoal_idle_policy */
	uint32_t idle_polls; /* polls without work before it yields or sleeps */
	uint32_t sleep_us;
};

struct shoal_runner;
struct shoal_runner *shoal_runner_create(const struct shoal_runner_config *config);
int shoal_runner_start(struct shoal_runner *runner);
/* Stops between two polls; at most 1 s, then -ETIMEDOUT. */
int shoal_runner_stop(struct shoal_runner *runner);
void shoal_runner_destroy(struct shoal_runner *runner);

/* --- Statistics ---------------------------------------------------------------------------------------------------- */

enum shoal_statistic_kind { SHOAL_COUNTER, SHOAL_GAUGE, SHOAL_HISTOGRAM };

/* One figure; name by Prometheus' conventions without the "shoal_" prefix, at most one label. The rows of a histogram (of
 * each of its label's values) follow one another: `bound` in nanoseconds (included), cumulative, the last one "+Inf", then
 * "sum". */
struct shoal_statistic {
	char name[64];
	char label[32];
	char label_value[64];
	char bound[24]; /* histograms only */
	int kind;
	uint64_t value;
};

/* --- Instance ------------------------------------------------------------------------------------------------------ */

/* Where the NF's objects live (docs/planes.md). */
enum shoal_plane_kind {
	SHOAL_PLANE_SHARED, /* the distributed object space */
	SHOAL_PLANE_LOCAL, /* this instance's own tables: for one instance alone */
	SHOAL_PLANE_REMOTE, /* a Redis or Valkey server */
};

struct shoal_instance_config {
	char name[64];
	char slab_directory
		[256]; /* on hugetlbfs or tmpfs; slabs lie here, and outlive the process; "": slabs without files */
	char nf_path[256]; /* the NF's shared object */
	uint16_t member; /* this worker's number in the space, below SHOAL_MEMBERS_MAX */
	uint64_t life; /* number of this start; never used twice in one cluster */
	uint64_t cluster; /* random; frames of another cluster are refused */
	uint64_t hash_seed; /* the same in all members */
	uint32_t objects_max; /* of each class */
	uint32_t parked_max; /* packets that may wait for an object or a channel */
	uint32_t microthreads_max;
	uint32_t window; /* origin messages under way */
	uint32_t packets; /* mbufs in the pool */
	uint32_t take_deadline_ms; /* of a reference or an exact call */
	uint32_t
		lease_ms; /* works only while a majority has heard it for so long (shoal_fence_progress); 0: all on one host */
	int plane; /* enum shoal_plane_kind */
	char remote_address
		[128]; /* plane remote: of the server, unix:/path or a numeric host:port; SHOAL_REMOTE_ADDRESS_BYTES */
	char remote_name[64]; /* plane remote: keys in the server begin with it; SHOAL_NAME_BYTES */
	int pipe; /* packets are received by a thread of their own: shoal_instance_run_pipe_on */
};

struct shoal_instance;
struct shoal_instance *shoal_instance_create(const struct shoal_instance_config *config); /* NULL: shoal_last_error */
void shoal_instance_destroy(struct shoal_instance *instance); /* after its runners have stopped; removes the slabs */
int shoal_instance_run_on(struct shoal_instance *instance, struct shoal_runner *runner);
/* With `pipe`: the runner, another one, whose thread receives packets and queues them for the worker. */
int shoal_instance_run_pipe_on(struct shoal_instance *instance, struct shoal_runner *runner);

/* Before init: one NF setting. -EINVAL with the NF's own sentence. Then init, once. */
int shoal_instance_set(struct shoal_instance *instance, const char *name, const char *value);
int shoal_instance_init_nf(struct shoal_instance *instance);

/* Packets: the ring from a splitter (descriptor of a ring pair, duplicated), or an ethdev port of its own. */
int shoal_instance_attach_packet_ring(struct shoal_instance *instance, int descriptor);
int shoal_instance_detach_packet_ring(struct shoal_instance *instance);
int shoal_instance_attach_port(struct shoal_instance *instance, uint8_t nf_port, const char *devargs);

/* Channels. Of two members the lower number makes the ring pair (shoal_ring_pair_create) and is side 0. */
int shoal_ring_pair_create(uint32_t capacity);
int shoal_instance_attach_peer_ring(
	struct shoal_instance *instance, uint16_t member, uint64_t life, int descriptor, unsigned side);
/* TCP: the lower number listens, the higher one connects. Address is numeric; port 0: any. Listen returns the port. */
int shoal_instance_listen(struct shoal_instance *instance, const char *address, uint16_t tcp_port);
int shoal_instance_attach_peer_tcp(
	struct shoal_instance *instance, uint16_t member, uint64_t life, const char *address, uint16_t tcp_port);
int shoal_instance_peer_ended(struct shoal_instance *instance, uint16_t member, uint64_t life, const char *reason);
int shoal_instance_detach_peer(struct shoal_instance *instance, uint16_t member);

/* --- Reorganisation (dso.md, "Slots have tokens") --- */

struct shoal_plan {
	uint64_t term;
	uint64_t epoch_now; /* 0: there is none (first plan of a new cluster: owner_now is ignored) */
	uint64_t epoch_next;
	uint8_t owner_now[16384]; /* member of each slot; SHOAL_SLOTS entries */
	uint8_t owner_next[16384];
	uint8_t in_now[64]; /* is a member; SHOAL_MEMBERS_MAX entries */
	uint8_t in_next[64];
	uint64_t life[64];
	uint32_t
		expected_objects[16]; /* of each class, that the next map would bring here; SHOAL_CLASSES_MAX entries */
};

enum shoal_stage {
	SHOAL_STAGE_ALONE, /* no map yet */
	SHOAL_STAGE_NORMAL,
	SHOAL_STAGE_LEARNT,
	SHOAL_STAGE_HANDING_OVER,
	SHOAL_STAGE_DONE, /* nothing pending here; old map kept until told to forget */
	SHOAL_STAGE_LEFT,
};

struct shoal_progress {
	int stage;
	uint64_t term;
	uint64_t epoch; /* in force, or being handed over to */
	uint32_t tokens; /* held now */
	uint32_t tokens_to_send;
	uint32_t tokens_to_receive;
	uint32_t slots_unswept; /* with token, but records still at the previous owner */
	uint32_t objects; /* entries of all tables: objects here, and records of those elsewhere */
	uint32_t objects_held; /* of them: single-writer objects whose lease is here */
	uint64_t records_moved; /* by pull or sweep, since start */
	uint64_t leases_moved; /* objects that migrated away from here, since start */
	uint64_t bytes_moved;
	uint8_t steering_ready[32]; /* bit s: all 64 tokens of steering slot s are here */
	char waiting_for[128]; /* what keeps it from DONE, as a sentence; "" if nothing */
};

/* Each is idempotent. -ESTALE: an older term. -EBUSY: not in the stage for it. -ENOSPC: no room for what the next map
 * would bring (with the numbers). -ETIMEDOUT: the worker did not take the command within 2 s. */
int shoal_instance_learn(struct shoal_instance *instance, const struct shoal_plan *plan);
int shoal_instance_abandon(struct shoal_instance *instance, uint64_t term, uint64_t epoch);
int shoal_instance_hand_over(struct shoal_instance *instance, uint64_t term, uint64_t epoch);
/* The last marker of the steering slots that leave this worker is back at the splitter. */
int shoal_instance_markers_back(struct shoal_instance *instance, uint64_t term, uint64_t epoch);
int shoal_instance_forget(struct shoal_instance *instance, uint64_t term, uint64_t epoch);
int shoal_instance_progress(struct shoal_instance *instance, struct shoal_progress *progress);

/* What a worker has in hand. */
struct shoal_drain_progress {
	int draining;
	int empty; /* draining, and nothing is left of what follows */
	uint32_t packets; /* suspended, parked, held, kept back by a full port, or taken in a moment ago */
	uint32_t microthreads; /* suspended: packets', and those of tasks */
	uint32_t requests; /* to others, that they have not answered */
	uint64_t channel_bytes; /* for others, that their channels have not taken */
};

/* draining: reads no device of its own any more (what a splitter sends, it takes: the splitter decides), and asks the NF to
 * let held packets go; what is in hand goes on to its end. Else: works as before. May be repeated, and tells how far it is. */
int shoal_instance_drain(struct shoal_instance *instance, int draining, struct shoal_drain_progress *progress);

/* --- A member dies (keyspace/view.h) --- */

struct shoal_death {
	uint64_t term;
	uint64_t view; /* one above the last view begun */
	uint64_t epoch; /* number of the map that results; above every epoch ever used */
	uint8_t dead[64]; /* by member: died since the last completed view, all of them; SHOAL_MEMBERS_MAX entries */
	uint64_t life[64]; /* of the dead */
	uint8_t survivor[64]; /* by member: takes part */
	uint8_t adopter[64]; /* by dead member: the survivor that adopts its objects, or SHOAL_MEMBER_NONE */
	uint8_t mint[16384]; /* by slot: the survivor that gets a token which nobody has; SHOAL_SLOTS entries */
};

/* Begins, or begins anew after a further death. Idempotent. -ESTALE: an older term or view. -EINVAL: this member does not
 * survive, a minter does not, or something is to be adopted of which shoal_instance_adopt was not told. -ENOTCONN: no channel
 * to a survivor. */
int shoal_instance_death(struct shoal_instance *instance, const struct shoal_death *death);
/* Tells the adopter where a dead member's slabs lie, before shoal_instance_death. -ENOENT: nothing there; -EPROTO: not to be
 * used, with the reason. */
int shoal_instance_adopt(struct shoal_instance *instance, uint16_t member, uint64_t life, const char *slab_directory);

enum shoal_view_stage {
	SHOAL_VIEW_QUIET, /* the last view is complete here */
	SHOAL_VIEW_FLUSHING,
	SHOAL_VIEW_COUNTING,
	SHOAL_VIEW_READYING,
	SHOAL_VIEW_REPORTING,
	SHOAL_VIEW_SETTLING,
	SHOAL_VIEW_ENTERING,
	SHOAL_VIEW_FINISHING,
	SHOAL_VIEW_CHECKING, /* complete here, but what was left by a loss is still being looked at; no plan may begin */
};

struct shoal_view_progress {
	int stage; /* enum shoal_view_stage */
	uint64_t view; /* begun last */
	uint64_t resumed; /* completed last */
	uint64_t epoch;
	uint8_t tokens[2048]; /* bit s: the token of slot s is here; counts when QUIET */
	/* Objects by class, of all views since start; SHOAL_CLASSES_MAX entries. */
	uint64_t adopted[16], checked[16], rejected[16], lost[16], rolled_back[16];
	char waiting_for[128];
};
int shoal_instance_view_progress(struct shoal_instance *instance, struct shoal_view_progress *progress);

/* Which objects they were. Of each fate a worker keeps the last 16384. */
enum shoal_fate { SHOAL_FATE_ADOPTED, SHOAL_FATE_REJECTED, SHOAL_FATE_LOST };

struct shoal_fate_row {
	uint64_t view;
	uint32_t class_index;
	uint32_t key_bytes;
	uint8_t key[64];
};
/* Rows from *cursor (0 at first) on, the oldest first; sets *cursor for the next call, UINT64_MAX at the end. Returns the
 * rows filled. -EINVAL: there is no such fate. */
long shoal_instance_fates(
	struct shoal_instance *instance, int fate, uint64_t *cursor, struct shoal_fate_row *rows, long n);

/* --- Between hosts (worker/fence.h) --- */

enum shoal_fence_state {
	SHOAL_FENCE_OPEN, /* works */
	SHOAL_FENCE_HOLDING, /* not heard by a majority of members within the lease: touches no packet until it is */
	SHOAL_FENCE_FENCED, /* was declared dead: never touches a packet again */
};

struct shoal_fence_progress {
	int state; /* enum shoal_fence_state */
	uint64_t clock_ns; /* the worker's time, for the next keep_alive */
	uint64_t holds; /* times that it had to hold */
	uint64_t held_ms; /* in all */
	uint8_t remote[64]; /* is a member on another host; SHOAL_MEMBERS_MAX entries */
	uint32_t silent_ms[64]; /* of those: since when it has not answered */
};

/* The controller's voice: it has seen clock_ns of an earlier answer (0: none yet), and takes this life for a member. */
int shoal_instance_keep_alive(
	struct shoal_instance *instance, uint64_t asked_ns, struct shoal_fence_progress *progress);
/* This life was declared dead: FENCED. */
int shoal_instance_fence(struct shoal_instance *instance);

/* Fills up to n rows; returns how many there are. */
long shoal_instance_statistics(struct shoal_instance *instance, struct shoal_statistic *rows, long n);

/* --- State --- */

enum shoal_state_place {
	SHOAL_STATE_HELD,
	SHOAL_STATE_FREE,
	SHOAL_STATE_MULTI_WRITER,
	SHOAL_STATE_RECORD_ONLY,
	SHOAL_STATE_STORE, /* plane remote: in the server; every instance tells the same */
};

struct shoal_state_row {
	int place; /* enum shoal_state_place */
	uint8_t holder; /* member, as far as this worker knows */
	uint64_t incarnation;
	uint32_t lease;
	uint32_t idle_ms;
	uint32_t key_bytes;
	uint32_t object_bytes;
	uint8_t key[64];
	uint8_t object[16384];
};

struct shoal_class_information {
	char name[64];
	int multi_writer;
	uint32_t key_bytes, object_bytes;
	uint32_t objects, capacity; /* of this instance's tables */
};
int shoal_instance_class_information(
	struct shoal_instance *instance, unsigned index, struct shoal_class_information *information);
/* The row of one key: 0, or -ENOENT. Copied by the worker between two packets. On plane remote this and the next two ask the server,
 * which may take up to a second (-ENOTCONN: it does not answer), and may be called in any thread, also beside others, until the
 * instance is destroyed. */
int shoal_instance_state_get(struct shoal_instance *instance, unsigned class_index, const void *key, uint32_t key_bytes,
	struct shoal_state_row *row);
/* Rows from *cursor (0 at first) on; sets *cursor for the next call, UINT64_MAX at the end. Returns the rows filled, which may be
 * fewer than n before the end. */
long shoal_instance_state_list(
	struct shoal_instance *instance, unsigned class_index, uint64_t *cursor, struct shoal_state_row *rows, long n);
/* Plane remote: adds to counts[i] how many objects of class i the server has, for all of the NF's n classes, as far as it comes within
 * half a second; *cursor as above. -EOPNOTSUPP: they lie in the instances' tables, and shoal_instance_class_information tells. */
int shoal_instance_state_count(struct shoal_instance *instance, uint64_t *cursor, uint64_t *counts, unsigned n);

/* Runs a control task of the NF; -ENOENT: no such task; -ETIMEDOUT after deadline_ms. */
int shoal_instance_run_task(struct shoal_instance *instance, const char *task, const char *arguments, char *reply,
	size_t reply_bytes, uint32_t deadline_ms);

/* --- Splitter ------------------------------------------------------------------------------------------------------ */

struct shoal_splitter_config {
	char name[64];
	char nf_path[256]; /* for the ports' steering keys */
	uint32_t packets; /* mbufs in the pool */
	uint32_t parked_max; /* packets that may wait for a marker */
	uint32_t fragments_max; /* entries of the fragment table */
	uint32_t ring_bytes; /* of each packet ring; a power of two */
};

struct shoal_splitter;
struct shoal_splitter *shoal_splitter_create(const struct shoal_splitter_config *config);
void shoal_splitter_destroy(struct shoal_splitter *splitter);
int shoal_splitter_run_on(struct shoal_splitter *splitter, struct shoal_runner *runner);
int shoal_splitter_set(
	struct shoal_splitter *splitter, const char *name, const char *value); /* NF setting, as the instance's */
int shoal_splitter_init_nf(struct shoal_splitter *splitter);
int shoal_splitter_attach_port(struct shoal_splitter *splitter, uint8_t nf_port, const char *devargs);
/* Makes the packet ring of one member; returns a descriptor for it (owned by the caller), or -errno. */
int shoal_splitter_attach_member(struct shoal_splitter *splitter, uint16_t member);
/* Its rings are given up; what was inside is counted as drop `instance_died`, or nothing if they are empty. */
int shoal_splitter_detach_member(struct shoal_splitter *splitter, uint16_t member);
/* First table: member of each steering slot. Later changes go by redirect. */
int shoal_splitter_set_table(struct shoal_splitter *splitter, const uint8_t *members);
int shoal_splitter_get_table(struct shoal_splitter *splitter, uint8_t *members);
/* Redirects each steering slot whose bit is set: parks, sends the marker, waits for it, and goes on at `member`. */
int shoal_splitter_redirect(struct shoal_splitter *splitter, const uint8_t *steering_slots, uint16_t member);

struct shoal_redirect_progress {
	uint32_t pending; /* steering slots that wait for their turn, their marker, or their parked packets to leave */
	uint32_t done; /* since start */
	uint32_t parked; /* packets now */
	uint32_t parked_most; /* since the last call with reset */
	uint8_t pending_slots[32];
};
int shoal_splitter_redirect_progress(
	struct shoal_splitter *splitter, int reset, struct shoal_redirect_progress *progress);
long shoal_splitter_statistics(struct shoal_splitter *splitter, struct shoal_statistic *rows, long n);

/* --- Traffic -------------------------------------------------------------------------------------------------------
 *
 * The compiled form of a TRex stream profile, as the profile compiler gives it; every pointer is borrowed for the length
 * of the call alone. */

/* Frames without FCS. */
#define SHOAL_FRAME_BYTES_MAX 9238
#define SHOAL_FRAME_BYTES_MIN 14

enum shoal_instruction_kind {
	SHOAL_INSTRUCTION_FLOW_VAR,
	SHOAL_INSTRUCTION_FLOW_VAR_RAND_LIMIT,
	SHOAL_INSTRUCTION_TUPLE_FLOW_VAR,
	SHOAL_INSTRUCTION_WRITE_FLOW_VAR,
	SHOAL_INSTRUCTION_WRITE_MASK_FLOW_VAR,
	SHOAL_INSTRUCTION_TRIM_PKT_SIZE,
	SHOAL_INSTRUCTION_FIX_CHECKSUM_IPV4,
	SHOAL_INSTRUCTION_FIX_CHECKSUM_HW,
	SHOAL_INSTRUCTION_FIX_CHECKSUM_ICMPV6,
};

enum shoal_variable_operation { SHOAL_VARIABLE_INCREMENT, SHOAL_VARIABLE_DECREMENT, SHOAL_VARIABLE_RANDOM };

/* l4_type of fix_checksum_hw */
#define SHOAL_CHECKSUM_UDP 11
#define SHOAL_CHECKSUM_TCP 13
#define SHOAL_CHECKSUM_IP 17

/* One instruction of a stream's field engine; each kind reads its own members only. */
struct shoal_instruction {
	int kind; /* enum shoal_instruction_kind */
	char name[64]; /* of the variable; "t.ip" and "t.port" of tuple "t" */
	char next_name[64]; /* successor in a chain; "" for none */
	int operation; /* enum shoal_variable_operation */
	uint32_t size; /* of the variable: 1, 2, 4 or 8 bytes */
	uint64_t init_value, min_value, max_value, step;
	const uint64_t *values; /* a value list instead of init, min and max; NULL for none */
	uint32_t values_count;
	uint64_t limit; /* rand_limit: values until it repeats; tuple: flows, 0 for no limit */
	uint32_t seed; /* rand_limit */
	uint32_t ip_min, ip_max;
	uint32_t port_min, port_max;
	uint32_t tuple_flags; /* bit 0: unlimited */
	uint32_t packet_offset;
	int64_t add_value; /* modulo the size */
	uint32_t cast_size, mask;
	int32_t shift; /* positive: to the left */
	int big_endian;
	uint32_t l2_bytes, l3_bytes, l4_type;
};

enum shoal_rate_kind { SHOAL_RATE_PPS, SHOAL_RATE_BPS_L1, SHOAL_RATE_BPS_L2, SHOAL_RATE_PERCENTAGE };
enum shoal_stream_mode { SHOAL_STREAM_CONTINUOUS, SHOAL_STREAM_SINGLE_BURST, SHOAL_STREAM_MULTI_BURST };
enum shoal_packet_group_kind { SHOAL_GROUP_NONE, SHOAL_GROUP_STATISTICS, SHOAL_GROUP_LATENCY };

/* Of a stream's flags (the others say where its MAC addresses come from, which the profile compiler has settled): takes
 * its time and sends nothing. */
#define SHOAL_STREAM_DUMMY 8

struct shoal_stream_config {
	char name[64]; /* for messages and reports */
	uint32_t flags;
	int enabled, self_start, start_paused;
	double start_gap_us; /* isg */
	uint32_t action_count; /* completions until its chain stops; 0: endless */
	int64_t next; /* index, in order of adding to its port, of the stream that follows; -1 for none */
	int mode; /* enum shoal_stream_mode */
	uint32_t burst_packets; /* of each burst; modes single and multi */
	uint32_t bursts; /* mode multi */
	double burst_gap_us; /* ibg; from the last packet of a burst to the first of the next */
	int rate_kind; /* enum shoal_rate_kind; bits count the FCS, and L1 preamble and gap too */
	double rate;
	uint32_t random_seed; /* 0: taken from the generator's own */
	const uint8_t *packet; /* frame without FCS */
	uint32_t packet_bytes;
	const struct shoal_instruction *instructions;
	uint32_t instructions_count;
	uint32_t cache; /* the first so many frames are kept and sent in turn; 0: every frame is built */
	int group_kind; /* enum shoal_packet_group_kind */
	uint32_t group; /* pg_id */
};

/* --- Latency ---
 *
 * Log-linear histogram (as HdrHistogram's): values below 32 ns have a bucket each, and every power of two above is cut
 * into 32 equal parts, so that a bucket is within 3.2 % of its values. The last one takes all from 2^36 ns (69 s) on. */
#define SHOAL_LATENCY_BUCKETS 1024

struct shoal_latency {
	uint64_t count;
	uint64_t sum_ns;
	uint64_t min_ns, max_ns; /* 0 when count is 0 */
	uint64_t buckets[1024]; /* SHOAL_LATENCY_BUCKETS */
};
/* The greatest value that falls into a bucket. */
uint64_t shoal_latency_bucket_ns(uint32_t bucket);

/* --- Preview: what the generator would send, in virtual time; needs no EAL --- */

struct shoal_preview_config {
	uint64_t link_bps; /* for rates in percent; 0: they are refused */
	uint32_t seed; /* for streams with random_seed 0 */
};

struct shoal_preview_packet {
	double time_s; /* since the start */
	uint32_t stream; /* number within its port */
	uint8_t nf_port;
	uint16_t length; /* without FCS */
	uint8_t frame[9238]; /* SHOAL_FRAME_BYTES_MAX */
};

struct shoal_preview;
struct shoal_preview *shoal_preview_create(const struct shoal_preview_config *config);
void shoal_preview_destroy(struct shoal_preview *preview);
int shoal_preview_add_stream(struct shoal_preview *preview, uint8_t nf_port, const struct shoal_stream_config *stream);
/* After all streams: 0, or -EINVAL when they do not fit together. duration_s 0: no end but the streams' own. */
int shoal_preview_start(struct shoal_preview *preview, double multiplier, double duration_s);
/* The next packet of all ports, by time: 1, or 0 when there is none any more. */
int shoal_preview_next(struct shoal_preview *preview, struct shoal_preview_packet *packet);
/* Packets a second of one stream at multiplier 1, and their mean length without FCS; -ENOENT. */
int shoal_preview_rate(
	struct shoal_preview *preview, uint8_t nf_port, uint32_t stream, double *pps, double *mean_bytes);

/* --- Generator: sends streams, and checks what comes back ---
 *
 * A packet that has room for it carries, in the last SHOAL_STAMP_BYTES of its payload, a stamp: its flow's number, its
 * sequence number within the flow, its stream, when it was sent, and a checksum over the payload. A flow is a source and a
 * destination (addresses, ports, protocol) at one NF port; it ends when nothing was sent in it for flow_idle_ms. */
#define SHOAL_STAMP_BYTES 18

struct shoal_generator_config {
	char name[64];
	uint64_t link_bps; /* for rates in percent; 0: they are refused */
	uint32_t seed; /* for streams with random_seed 0, and for the stamp's checksum */
	uint32_t packets; /* mbufs in its pool */
	uint32_t
		catch_up_us; /* of a delay, what it makes good by sending faster; the rest shifts the schedule, and is counted */
	uint32_t flows_max;
	uint32_t responses_max; /* answers that may wait to be sent, at each port */
	uint32_t row_ms; /* length of a time series' row */
	uint32_t rows_max; /* rows that may wait to be drained */
};

/* How one run goes. */
struct shoal_generator_run {
	double multiplier; /* of all rates but latency streams' */
	double duration_s; /* 0: no end but the streams' own */
	uint32_t warm_up_ms; /* latencies of this first time do not enter the histograms; all else counts */
	int stamp; /* 0: frames are exactly the profile's, and only flow statistics are checked */
	int check_mappings; /* each source keeps one public address and port while it lives, shared with no other */
	uint32_t flow_idle_ms; /* must be below the NF's shortest idle time: only live flows' mappings are compared */
	uint32_t
		respond_every; /* every n-th good packet of a flow that arrives at another port than it left by is answered; 0: none */
};

/* writer: the generator; each word is read as it is. Bytes include the FCS. One direction of one stream: there, or back
 * (answers). */
struct shoal_traffic_counters {
	uint64_t sent_packets, sent_bytes;
	uint64_t stamped_packets; /* of those sent */
	uint64_t received_packets, received_bytes; /* stamped ones, without second copies */
	uint64_t reordered; /* came after a later one of their flow */
	uint64_t duplicated;
	uint64_t corrupted; /* stamp, IP or transport checksum wrong */
};

struct shoal_generator_stream {
	char name[64];
	uint32_t number;
	uint8_t nf_port;
	int group_kind; /* enum shoal_packet_group_kind */
	uint32_t group;
	struct shoal_traffic_counters there, back;
};

struct shoal_generator_totals {
	int running; /* between start, and stop or the end of all streams */
	uint64_t elapsed_ns; /* real time from start to now, or to the end */
	uint64_t sent_packets[8], sent_bytes[8]; /* of each NF port; answers included */
	uint64_t arrived_packets[8], arrived_bytes[8]; /* whatever it was */
	uint64_t flows_started, flows_ended, flows_live;
	uint64_t missing; /* numbers skipped in a flow and not seen since: lost, or still to come late */
	uint64_t flows_refused; /* packets sent without a stamp because all flows_max flows were live */
	uint64_t unstamped_sent; /* no room, no transport header, or refused; latency streams do not count */
	uint64_t
		unstamped_arrived; /* neither a stamp nor a mark of flow statistics: unstamped ones, or somebody else's */
	uint64_t unknown_flow; /* a good stamp of a flow that has ended */
	uint64_t reordered, duplicated, corrupted; /* of all streams */
	uint64_t mappings_checked;
	uint64_t mapping_changed; /* a live source came from another public address or port than before */
	uint64_t mapping_shared; /* two live sources from the same */
	uint64_t mapping_misled; /* an answer came to another address or port than its question was sent from */
	uint64_t responses_sent, responses_dropped;
	uint64_t late_max_ns,
		late_sum_ns; /* how long after their time packets were sent, those of catch_up_us included */
	uint64_t slipped_ns, slips; /* how far, and how often, the schedule was shifted */
	uint64_t pool_empty; /* polls that found no mbuf */
	uint64_t rows_lost; /* nobody drained them */
};

/* Flow statistics of one pg_id, as TRex counts them. */
struct shoal_packet_group {
	int kind; /* enum shoal_packet_group_kind */
	uint32_t group; /* pg_id */
	uint64_t sent_packets[8], sent_bytes[8];
	uint64_t received_packets[8], received_bytes[8];
	/* latency only */
	uint64_t dropped, out_of_order, duplicated, sequence_too_high, sequence_too_low;
	double jitter_us, average_us;
	uint64_t last_max_ns; /* of the last row that ended */
	struct shoal_latency latency;
	uint64_t decades[46]; /* below 10 us; then 10, 20 … 90, 100 … 900, … 100000 … 900000 us */
};

/* One row of the time series: what happened in it. Packets of all ports. */
struct shoal_traffic_row {
	uint64_t end_ns; /* since start */
	uint64_t length_ns; /* row_ms, or longer when nobody polled */
	uint64_t sent_packets, sent_bytes, received_packets, received_bytes;
	uint64_t reordered, duplicated, corrupted, mapping_violations;
	uint64_t flows_live, flows_started;
	uint64_t slipped_ns;
	uint64_t latency_count, p50_ns, p99_ns, p999_ns, max_ns;
};

struct shoal_generator;
/* After EAL's start. NULL: shoal_last_error(). */
struct shoal_generator *shoal_generator_create(const struct shoal_generator_config *config);
/* After nobody polls it any more. */
void shoal_generator_destroy(struct shoal_generator *generator);
/* Streams are a profile for the next start; the first one added after a start begins a new profile. */
int shoal_generator_add_stream(
	struct shoal_generator *generator, uint8_t nf_port, const struct shoal_stream_config *stream);
/* Everything begins anew, counters too. -EINVAL: streams do not fit together, or are none, or the run can't be. -EBUSY:
 * runs already; stop it. -ETIMEDOUT: the splitter that it is attached to is not polled. */
int shoal_generator_start(struct shoal_generator *generator, const struct shoal_generator_run *run);
/* Sends nothing more, answers included; goes on checking what arrives. Needed also after all streams have ended, until
 * when what arrives is answered. */
int shoal_generator_stop(struct shoal_generator *generator);
int shoal_generator_set_multiplier(struct shoal_generator *generator, double multiplier);
/* A paused stream's time goes on. -ENOENT: no such stream. */
int shoal_generator_pause(struct shoal_generator *generator, uint8_t nf_port, uint32_t stream, int paused);

int shoal_generator_totals(struct shoal_generator *generator, struct shoal_generator_totals *totals);
/* From the first-th stream of all ports on, fills up to n; returns how many streams there are. */
long shoal_generator_streams(
	struct shoal_generator *generator, long first, struct shoal_generator_stream *streams, long n);
/* The index-th packet group; -ENOENT behind the last. */
int shoal_generator_packet_group(struct shoal_generator *generator, uint32_t index, struct shoal_packet_group *group);
/* Latency of all stamped packets since start; subtract two of them for what lies between. */
int shoal_generator_latency(struct shoal_generator *generator, struct shoal_latency *latency);
/* Takes up to n rows that have ended; returns how many. */
long shoal_generator_drain(struct shoal_generator *generator, struct shoal_traffic_row *rows, long n);

/* Its end at one NF port becomes the splitter's port. Destroy the splitter before the generator. */
int shoal_splitter_attach_generator(
	struct shoal_splitter *splitter, uint8_t nf_port, struct shoal_generator *generator);

#endif
